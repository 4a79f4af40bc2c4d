!> The batch norm layer: its passes over arrays of real32 and real64, and its own arrays.
!>
!> x, z, dz and dx of a pass have the same extents, in any rank. Dimension `dim` runs over the channels: 1, unless the
!> caller says otherwise, which is fastest; so x(channels, samples), x(channels, width, height, samples), or with dim=3
!> x(width, height, channels, samples). What lies in a section that is not contiguous is copied, and copied back.
module lockstep_batch_norm
    use, intrinsic :: iso_c_binding, only: c_associated, c_f_pointer, c_int, c_int64_t, c_loc, c_null_ptr, c_ptr
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use lockstep_arrays, only: array_view, batch_shape, copy_back, kind_name, look_at, look_at_unmoved, problem_of, &
        problem_of_all
    use lockstep_c
    use lockstep_handle, only: c_object, call_outcome, conclude, outcome_of
    use lockstep_layer, only: channels_of, error_prefix, kind_of
    use lockstep_moments, only: batch_moments, prepare
    use lockstep_settings, only: adjustable_layer
    use lockstep_slices, only: backward_slice, c_slice, forward_slice, problem_of_slices
    implicit none
    private

    type, extends(adjustable_layer), public :: batch_norm
    contains
        ! --- training: collective over the ranks of the statistics group ---

        !> (x, z, saved, dim, stat, errmsg): z = gamma*(x - mean)/sqrt(variance + epsilon) + beta, with the mean and the
        !> variance of all ranks' values. Any rank may have none.
        generic :: forward => forward_real32, forward_real64
        !> (x, saved, ...): the same, z in place of x.
        generic :: forward_in_place => forward_in_place_real32, forward_in_place_real64
        !> (x, dz, dx, saved, ...): dx, from x as it was in forward. Adds d gamma and d beta of this rank's values to
        !> the gradients: sum those over the ranks as those of all other parameters.
        generic :: backward => backward_real32, backward_real64
        !> (x, dz, saved, ...): the same, dx in place of dz.
        generic :: backward_in_place => backward_in_place_real32, backward_in_place_real64
        !> (x, dz, saved, ...): d gamma and d beta alone, if no rank wants dx. Communicates nothing.
        generic :: backward_parameters => backward_parameters_real32, backward_parameters_real64
        !> (slices, saved, stat, errmsg): for several replicas on a rank, one slice for each, in order.
        procedure :: forward_slices
        procedure :: backward_slices

        ! --- the same in two halves, to compute something else in between ---
        !
        ! Between begin and end all arguments stay where they are, untouched: give the arrays the attribute
        ! asynchronous or target. Sections must be contiguous, and x no expression.

        generic :: begin_forward => begin_forward_real32, begin_forward_real64
        generic :: begin_forward_in_place => begin_forward_in_place_real32, begin_forward_in_place_real64
        procedure :: end_forward
        generic :: begin_backward => begin_backward_real32, begin_backward_real64
        generic :: begin_backward_in_place => begin_backward_in_place_real32, begin_backward_in_place_real64
        procedure :: end_backward
        !> Drives the exchange under way; whether the end would not wait.
        procedure :: poll

        ! --- evaluation ---

        !> (x, z, dim, stat, errmsg): with the running averages. Communicates nothing and changes nothing.
        generic :: infer => infer_real32, infer_real64
        !> (x, ...): the same, z in place of x.
        generic :: infer_in_place => infer_in_place_real32, infer_in_place_real64

        ! --- the layer's arrays: (pointer, stat, errmsg) lets a pointer of the layer's kind point to one, to read and
        ! to write, until bind, or as long as the layer lives ---

        generic :: get_gamma => get_gamma_real32, get_gamma_real64
        generic :: get_beta => get_beta_real32, get_beta_real64
        generic :: get_running_mean => get_running_mean_real32, get_running_mean_real64
        generic :: get_running_var => get_running_var_real32, get_running_var_real64
        !> Of this rank's values, added up since zero_gradients.
        generic :: get_gamma_gradient => get_gamma_gradient_real32, get_gamma_gradient_real64
        generic :: get_beta_gradient => get_beta_gradient_real32, get_beta_gradient_real64
        !> (gamma, beta, running_mean, running_var, stat, errmsg): moves these, with their values, to arrays of the
        !> caller, which are targets and outlive the layer.
        generic :: bind => bind_real32, bind_real64

        procedure, private :: forward_real32, forward_real64, forward_in_place_real32, forward_in_place_real64, &
            backward_real32, backward_real64, backward_in_place_real32, backward_in_place_real64, &
            backward_parameters_real32, backward_parameters_real64, begin_forward_real32, begin_forward_real64, &
            begin_forward_in_place_real32, begin_forward_in_place_real64, begin_backward_real32, &
            begin_backward_real64, begin_backward_in_place_real32, begin_backward_in_place_real64, infer_real32, &
            infer_real64, infer_in_place_real32, infer_in_place_real64
        procedure, private :: get_gamma_real32, get_gamma_real64, get_beta_real32, get_beta_real64, &
            get_running_mean_real32, get_running_mean_real64, get_running_var_real32, get_running_var_real64, &
            get_gamma_gradient_real32, get_gamma_gradient_real64, get_beta_gradient_real32, get_beta_gradient_real64, &
            bind_real32, bind_real64
    end type

contains

    ! --- the passes, once their arrays are looked at ---

    subroutine run_forward(self, x, z, saved, dim, outcome)
        class(batch_norm), intent(inout) :: self
        type(array_view), intent(in) :: x, z
        class(batch_moments), intent(inout) :: saved
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "forward", [x, z], ["x", "z"], dim, shape, outcome)
        if (outcome%code == 0) call prepare(saved, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_forward(c_object(self), x%address, z%address, shape, c_object(saved)))
    end subroutine

    subroutine start_forward(self, x, z, saved, dim, outcome)
        class(batch_norm), intent(inout) :: self
        type(array_view), intent(in) :: x, z
        class(batch_moments), intent(inout) :: saved
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "begin_forward", [x, z], ["x", "z"], dim, shape, outcome)
        if (outcome%code == 0) call prepare(saved, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_begin_forward(c_object(self), x%address, z%address, shape, c_object(saved)))
    end subroutine

    subroutine run_backward(self, x, dz, dx, saved, dim, outcome)
        class(batch_norm), intent(inout) :: self
        type(array_view), intent(in) :: x, dz, dx
        class(batch_moments), intent(in) :: saved
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "backward", [x, dz, dx], ["x ", "dz", "dx"], dim, shape, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_backward(c_object(self), x%address, dz%address, dx%address, shape, c_object(saved)), &
            saved)
    end subroutine

    subroutine start_backward(self, x, dz, dx, saved, dim, outcome)
        class(batch_norm), intent(inout) :: self
        type(array_view), intent(in) :: x, dz, dx
        class(batch_moments), intent(in) :: saved
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "begin_backward", [x, dz, dx], ["x ", "dz", "dx"], dim, shape, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_begin_backward(c_object(self), x%address, dz%address, dx%address, shape, &
            c_object(saved)), saved)
    end subroutine

    subroutine run_backward_parameters(self, x, dz, saved, dim, outcome)
        class(batch_norm), intent(inout) :: self
        type(array_view), intent(in) :: x, dz
        class(batch_moments), intent(in) :: saved
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "backward_parameters", [x, dz], ["x ", "dz"], dim, shape, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_backward_parameters(c_object(self), x%address, dz%address, shape, c_object(saved)), &
            saved)
    end subroutine

    subroutine run_infer(self, x, z, dim, outcome)
        class(batch_norm), intent(in) :: self
        type(array_view), intent(in) :: x, z
        integer, intent(in), optional :: dim
        type(call_outcome), intent(out) :: outcome
        type(lockstep_shape) :: shape

        call fit(self, "infer", [x, z], ["x", "z"], dim, shape, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_infer(c_object(self), x%address, z%address, shape))
    end subroutine

    !> How the library sees the arrays of a pass; an error if they do not fit the layer and each other.
    subroutine fit(self, what, arrays, names, dim, shape, outcome)
        class(batch_norm), intent(in) :: self
        character(*), intent(in) :: what, names(:)
        type(array_view), intent(in) :: arrays(:)
        integer, intent(in), optional :: dim
        type(lockstep_shape), intent(out) :: shape
        type(call_outcome), intent(out) :: outcome
        integer :: its_dim

        its_dim = 1
        if (present(dim)) its_dim = dim
        outcome = outcome_of_check(self, what, problem_of_all(arrays, names, kind_of(self), channels_of(self), its_dim))
        if (outcome%code == 0) shape = batch_shape(arrays(1), its_dim)
    end subroutine

    !> An error if there is no layer, or a problem with the arguments of `what`.
    function outcome_of_check(self, what, problem) result(outcome)
        class(batch_norm), intent(in) :: self
        character(*), intent(in) :: what, problem
        type(call_outcome) :: outcome

        if (.not. c_associated(c_object(self))) then
            outcome = outcome_of(self, int(lockstep_usage_error, c_int))
        else if (problem /= "") then
            outcome%code = lockstep_usage_error
            outcome%message = error_prefix(self, what) // problem
        end if
    end function

    subroutine end_forward(self, stat, errmsg)
        class(batch_norm), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_end_forward(c_object(self)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine end_backward(self, stat, errmsg)
        class(batch_norm), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_end_backward(c_object(self)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    logical function poll(self, stat, errmsg)
        class(batch_norm), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int) :: done

        done = 0
        outcome = outcome_of(self, lockstep_batch_norm_poll(c_object(self), done))
        poll = done /= 0
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end function

    ! --- slices ---

    subroutine forward_slices(self, slices, saved, stat, errmsg)
        class(batch_norm), intent(inout) :: self
        type(forward_slice), intent(in) :: slices(:)
        class(batch_moments), intent(inout) :: saved
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of_check(self, "forward_slices", problem_of_slices(slices, kind_of(self), channels_of(self)))
        if (outcome%code == 0) call prepare(saved, outcome)
        if (outcome%code == 0) outcome = outcome_of(self, lockstep_batch_norm_forward_slices(c_object(self), &
            c_slice(slices), size(slices, kind=c_int64_t), c_object(saved)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine backward_slices(self, slices, saved, stat, errmsg)
        class(batch_norm), intent(inout) :: self
        type(backward_slice), intent(in) :: slices(:)
        class(batch_moments), intent(in) :: saved
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of_check(self, "backward_slices", problem_of_slices(slices, kind_of(self), channels_of(self)))
        if (outcome%code == 0) outcome = outcome_of(self, lockstep_batch_norm_backward_slices(c_object(self), &
            c_slice(slices), size(slices, kind=c_int64_t), c_object(saved)), saved)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    ! --- the layer's arrays ---

    !> Where one of the layer's arrays is, and how many values it has; NULL and 0 if it is not of this kind.
    subroutine locate(self, which, name, real_kind, address, count, outcome)
        class(batch_norm), intent(in) :: self
        integer(c_int), intent(in) :: which
        character(*), intent(in) :: name
        integer, intent(in) :: real_kind
        type(c_ptr), intent(out) :: address
        integer(c_int64_t), intent(out) :: count
        type(call_outcome), intent(out) :: outcome
        character(:), allocatable :: problem

        address = c_null_ptr
        count = 0
        problem = ""
        if (kind_of(self) /= real_kind) problem = "the pointer is " // kind_name(real_kind) &
            // ", but the layer was created for " // kind_name(kind_of(self))
        outcome = outcome_of_check(self, name, problem)
        if (outcome%code == 0) outcome = outcome_of(self, &
            lockstep_batch_norm_values(c_object(self), which, address, count))
    end subroutine

! The procedures for one kind, for each of both; the preprocessor joins _/**/ and what follows to one name.
#define REAL_KIND real32
#include "lockstep_batch_norm_of_kind.inc"
#undef REAL_KIND
#define REAL_KIND real64
#include "lockstep_batch_norm_of_kind.inc"
#undef REAL_KIND

end module
