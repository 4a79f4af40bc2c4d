!> One replica's part of a pass, for layers of several replicas on a rank.
!>
!> A slice keeps the addresses of the arrays that it is set to: they are targets of the caller, contiguous, and stay
!> where they are until the pass has ended.
module lockstep_slices
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use lockstep_arrays, only: array_view, batch_shape, look_at_unmoved, problem_of, problem_of_all
    use lockstep_c, only: lockstep_backward_slice, lockstep_forward_slice
    use lockstep_text, only: number
    implicit none
    private
    public :: c_slice, problem_of_slices

    type, public :: forward_slice
        private
        type(array_view) :: x, z
        integer :: dim = 1
    contains
        !> (x, z, dim)
        generic :: set => set_forward_real32, set_forward_real64
        !> (x, dim): z in place of x.
        generic :: set_in_place => set_forward_in_place_real32, set_forward_in_place_real64
        procedure, private :: set_forward_real32, set_forward_real64, set_forward_in_place_real32, &
            set_forward_in_place_real64
    end type

    type, public :: backward_slice
        private
        type(array_view) :: x, dz, dx, gamma_gradient, beta_gradient
        integer :: dim = 1
    contains
        !> (x, dz, dx, gamma_gradient, beta_gradient, dim): dx may be left out of all slices on all ranks. The replica's
        !> own gradients are written, not added up, to arrays of `channels` values; both may be left out.
        generic :: set => set_backward_real32, set_backward_real64
        !> (x, dz, gamma_gradient, beta_gradient, dim): dx in place of dz.
        generic :: set_in_place => set_backward_in_place_real32, set_backward_in_place_real64
        procedure, private :: set_backward_real32, set_backward_real64, set_backward_in_place_real32, &
            set_backward_in_place_real64
    end type

    !> The slice as the library wants it.
    interface c_slice
        procedure c_forward_slice, c_backward_slice
    end interface

    !> What is wrong with slices for a layer of this kind and so many channels; empty if nothing is.
    interface problem_of_slices
        procedure problem_of_forward_slices, problem_of_backward_slices
    end interface

contains

    elemental function c_forward_slice(slice) result(converted)
        type(forward_slice), intent(in) :: slice
        type(lockstep_forward_slice) :: converted

        converted%x = slice%x%address
        converted%z = slice%z%address
        converted%shape = batch_shape(slice%x, slice%dim)
    end function

    elemental function c_backward_slice(slice) result(converted)
        type(backward_slice), intent(in) :: slice
        type(lockstep_backward_slice) :: converted

        converted%x = slice%x%address
        converted%dz = slice%dz%address
        converted%dx = slice%dx%address
        converted%shape = batch_shape(slice%x, slice%dim)
        converted%gamma_gradient = slice%gamma_gradient%address
        converted%beta_gradient = slice%beta_gradient%address
    end function

    function problem_of_forward_slices(slices, real_kind, channels) result(problem)
        type(forward_slice), intent(in) :: slices(:)
        integer, intent(in) :: real_kind
        integer(int64), intent(in) :: channels
        character(:), allocatable :: problem
        integer :: i

        problem = ""
        do i = 1, size(slices)
            associate (slice => slices(i))
                problem = problem_if_unset(slice%x)
                if (problem == "") &
                    problem = problem_of_all([slice%x, slice%z], ["x", "z"], real_kind, channels, slice%dim)
            end associate
            if (problem /= "") exit
        end do
        if (problem /= "") problem = "slice " // number(int(i, int64)) // ": " // problem
    end function

    function problem_of_backward_slices(slices, real_kind, channels) result(problem)
        type(backward_slice), intent(in) :: slices(:)
        integer, intent(in) :: real_kind
        integer(int64), intent(in) :: channels
        character(:), allocatable :: problem
        integer :: i

        problem = ""
        do i = 1, size(slices)
            associate (slice => slices(i))
                problem = problem_if_unset(slice%x)
                if (problem == "") &
                    problem = problem_of_all([slice%x, slice%dz], ["x ", "dz"], real_kind, channels, slice%dim)
                if (problem == "" .and. slice%dx%real_kind /= 0) &
                    problem = problem_of_all([slice%x, slice%dx], ["x ", "dx"], real_kind, channels, slice%dim)
                if (problem == "" .and. slice%gamma_gradient%real_kind /= 0) &
                    problem = problem_of(slice%gamma_gradient, "gamma_gradient", real_kind, channels, 1)
                if (problem == "" .and. slice%beta_gradient%real_kind /= 0) &
                    problem = problem_of(slice%beta_gradient, "beta_gradient", real_kind, channels, 1)
            end associate
            if (problem /= "") exit
        end do
        if (problem /= "") problem = "slice " // number(int(i, int64)) // ": " // problem
    end function

    function problem_if_unset(x) result(problem)
        type(array_view), intent(in) :: x
        character(:), allocatable :: problem

        problem = ""
        if (x%real_kind == 0) problem = "it was not set"
    end function

! The procedures for one kind, for each of both; the preprocessor joins _/**/ and what follows to one name.
#define REAL_KIND real32
#include "lockstep_slices_of_kind.inc"
#undef REAL_KIND
#define REAL_KIND real64
#include "lockstep_slices_of_kind.inc"
#undef REAL_KIND

end module
