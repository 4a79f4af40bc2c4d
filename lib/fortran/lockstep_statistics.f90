!> Exact population statistics in place of running averages.
module lockstep_statistics
    use, intrinsic :: iso_c_binding, only: c_int, c_int64_t, c_ptr
    use lockstep_c
    use lockstep_batch_norm, only: batch_norm
    use lockstep_communicator, only: communicator
    use lockstep_handle, only: c_object, call_outcome, conclude, give_up, handle, outcome_of, own_created, &
        tell_of_failures
    use lockstep_layer, only: rank_of
    implicit none
    private

    !> Over a loop of forward passes of the caller: add after each forward, finish at the end.
    type, extends(handle), public :: precise_statistics
    contains
        procedure :: create => create_statistics
        procedure :: add
        procedure :: finish
        procedure :: free => free_statistics
        procedure, nopass :: type_name => type_name_of_statistics
        final :: finish_statistics
    end type

contains

    !> For a layer that outlives this and has one statistics group on this rank.
    subroutine create_statistics(self, layer, stat, errmsg)
        class(precise_statistics), intent(inout) :: self
        class(batch_norm), intent(in) :: layer
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_precise_statistics_create(c_object(layer), object)
        call own_created(self, code, object, outcome, layer)
        if (code == lockstep_ok) &
            call tell_of_failures(self, lockstep_batch_norm_announce_failure, c_object(layer), rank_of(layer))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Adds the batch of the layer's last forward; one without any value does not count.
    subroutine add(self, stat, errmsg)
        class(precise_statistics), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_precise_statistics_add(c_object(self)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Makes what was added the layer's running averages. With `among`, for a layer that is local to each of its ranks:
    !> of all of them, and collective. Fewer batches with values than `least_batches` (1) are an error that changes
    !> nothing.
    subroutine finish(self, least_batches, among, stat, errmsg)
        class(precise_statistics), intent(inout) :: self
        integer, intent(in), optional :: least_batches
        class(communicator), intent(in), optional :: among
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int64_t) :: least
        integer(c_int) :: code

        least = 1
        if (present(least_batches)) least = least_batches
        if (present(among)) then
            code = lockstep_precise_statistics_finish_among(c_object(self), c_object(among), least)
        else
            code = lockstep_precise_statistics_finish(c_object(self), least)
        end if
        outcome = outcome_of(self, code, among)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Also without a call, when the statistics go out of scope.
    subroutine free_statistics(self)
        class(precise_statistics), intent(inout) :: self

        call lockstep_precise_statistics_free(give_up(self))
    end subroutine

    impure elemental subroutine finish_statistics(self)
        type(precise_statistics), intent(inout) :: self

        call self%free()
    end subroutine

    function type_name_of_statistics() result(name)
        character(:), allocatable :: name

        name = "precise_statistics"
    end function
end module
