!> What backward needs from forward.
module lockstep_moments
    use, intrinsic :: iso_c_binding, only: c_associated, c_double, c_f_pointer, c_int, c_int32_t, c_int64_t, c_ptr
    use, intrinsic :: iso_fortran_env, only: int64, real64
    use lockstep_c
    use lockstep_handle, only: c_object, call_outcome, conclude, give_up, handle, outcome_of, own_created
    use lockstep_text, only: number
    implicit none
    private
    public :: prepare

    !> The moments of a batch, written by forward and read by the backward of the same layer and shape. One for each
    !> forward whose backward is still to come; empty until its first forward.
    type, extends(handle), public :: batch_moments
    contains
        procedure :: read => read_moments
        procedure :: free => free_moments
        procedure, nopass :: type_name => type_name_of_moments
        final :: finish_moments
    end type

contains

    !> Of statistics group `group` of this rank (1, unless there are several): how many values a channel has in the
    !> group, on all its ranks, and their means and biased variances by channel.
    subroutine read_moments(self, count, mean, variance, group, stat, errmsg)
        class(batch_moments), intent(in) :: self
        real(real64), intent(out), optional :: count
        real(real64), allocatable, intent(out), optional :: mean(:), variance(:)
        integer, intent(in), optional :: group
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int32_t) :: chosen
        real(c_double) :: values
        type(c_ptr) :: means, variances
        integer(c_int64_t) :: channels
        integer(c_int) :: code

        chosen = 0
        if (present(group)) chosen = int(group - 1, c_int32_t)
        code = lockstep_moments_read(c_object(self), chosen, values, means, variances, channels)
        if (code == lockstep_ok) then
            if (present(count)) count = values
            if (present(mean)) mean = copy_of(means, channels)
            if (present(variance)) variance = copy_of(variances, channels)
        end if
        outcome = outcome_of(self, code)
        if (code == lockstep_usage_error .and. present(group)) then
            ! The library counts from 0.
            if (lockstep_moments_read(c_object(self), 0_c_int32_t, values, means, variances, channels) == lockstep_ok) &
                outcome%message = "these moments have no statistics group " // number(int(group, int64)) &
                // ": they are numbered from 1, and as many as this rank takes part in"
        end if
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    function copy_of(address, count) result(copy)
        type(c_ptr), intent(in) :: address
        integer(c_int64_t), intent(in) :: count
        real(real64), allocatable :: copy(:)
        real(real64), pointer :: values(:)

        call c_f_pointer(address, values, [count])
        copy = values
    end function

    !> Makes moments that a forward may write to, if there are none yet.
    subroutine prepare(self, outcome)
        class(batch_moments), intent(inout) :: self
        type(call_outcome), intent(out) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        if (c_associated(c_object(self))) return
        code = lockstep_moments_create(object)
        call own_created(self, code, object, outcome)
    end subroutine

    !> Also without a call, when the moments go out of scope.
    subroutine free_moments(self)
        class(batch_moments), intent(inout) :: self

        call lockstep_moments_free(give_up(self))
    end subroutine

    impure elemental subroutine finish_moments(self)
        type(batch_moments), intent(inout) :: self

        call self%free()
    end subroutine

    function type_name_of_moments() result(name)
        character(:), allocatable :: name

        name = "batch_moments"
    end function
end module
