!> What the library has to know of a caller's arrays: where they are, of which kind, and how their extents read as a
!> batch of channels. Of real32 and real64, any rank, and any section.
module lockstep_arrays
    use, intrinsic :: iso_c_binding, only: c_loc, c_null_ptr, c_ptr
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use lockstep_c, only: lockstep_channels_first, lockstep_channels_last, lockstep_shape
    use lockstep_text, only: extents_text, number
    implicit none
    private
    public :: look_at, look_at_unmoved, copy_back, problem_of, problem_of_all, kind_name, batch_shape

    integer, parameter :: highest_rank = 15

    !> One array.
    type, public :: array_view
        type(c_ptr) :: address = c_null_ptr
        integer :: real_kind = 0
        integer :: rank = 0
        integer(int64) :: extents(highest_rank) = 0
        logical :: in_place = .true.  !< what is at the address is the array itself, or a copy of it
        !> The last extent is not known, and 0 here. The array is of assumed size, or, for gfortran tells it in the same
        !> way, an expression without values.
        logical :: end_unknown = .false.
    end type

    !> Looks at an array, or at a copy of it that is contiguous: the copy is made if the array is not.
    interface look_at
        procedure look_at_real32, look_at_real64
    end interface
    !> Looks at the array itself, for calls that return before they are through with it.
    interface look_at_unmoved
        procedure look_at_unmoved_real32, look_at_unmoved_real64
    end interface
    !> Copies what was written back to where the copy was made from.
    interface copy_back
        procedure copy_back_real32, copy_back_real64
    end interface

    !> Arrays without values have an address all the same: NULL says that an array is not wanted.
    real(real64), save, target :: nothing = 0

contains

    !> What is wrong with an array of a pass over a layer of `channels` channels along dimension `dim`; empty if
    !> nothing is.
    function problem_of(view, name, real_kind, channels, dim) result(problem)
        type(array_view), intent(in) :: view
        character(*), intent(in) :: name
        integer, intent(in) :: real_kind, dim
        integer(int64), intent(in) :: channels
        character(:), allocatable :: problem

        problem = ""
        if (view%real_kind /= real_kind) then
            problem = name // " is " // kind_name(view%real_kind) // ", but the layer was created for " &
                // kind_name(real_kind)
        else if (view%rank == 0) then
            problem = name // " is a scalar, not an array"
        else if (.not. view%in_place) then
            problem = name // " is not contiguous: only forward, backward and infer copy sections, of rank 7 at most"
        else if (dim < 1 .or. dim > view%rank) then
            problem = "dim is " // number(int(dim, int64)) // ", but " // name // " has rank " &
                // number(int(view%rank, int64))
        else if (view%extents(dim) /= channels .and. view%end_unknown) then
            problem = problem_of_unknown_end(name)
        else if (view%extents(dim) /= channels) then
            problem = name // " has the extents " // its_extents(view) // ": extent " // number(int(dim, int64)) &
                // " must be the layer's " // number(channels) // " channels"
        end if
    end function

    !> The same for all arrays of a pass, which have the same extents. The last one says how many values there are.
    function problem_of_all(views, names, real_kind, channels, dim) result(problem)
        type(array_view), intent(in) :: views(:)
        character(*), intent(in) :: names(:)
        integer, intent(in) :: real_kind, dim
        integer(int64), intent(in) :: channels
        character(:), allocatable :: problem
        integer :: i, last

        last = size(views)
        do i = 1, last
            problem = problem_of(views(i), trim(names(i)), real_kind, channels, dim)
            if (problem /= "") return
        end do
        if (views(last)%end_unknown) problem = problem_of_unknown_end(trim(names(last)))
        do i = 1, last - 1
            if (problem /= "") return
            if (views(i)%rank == views(last)%rank .and. all(views(i)%extents == views(last)%extents)) cycle
            if (views(i)%end_unknown) then
                problem = problem_of_unknown_end(trim(names(i)))
            else
                problem = trim(names(last)) // " has the extents " // its_extents(views(last)) // ", but " &
                    // trim(names(i)) // " has " // its_extents(views(i))
            end if
        end do
    end function

    function problem_of_unknown_end(name) result(problem)
        character(*), intent(in) :: name
        character(:), allocatable :: problem

        problem = name // " is an assumed-size array (or an expression without values): give a section that says &
            &where it ends, as " // name // "(:, 1:n)"
    end function

    function its_extents(view) result(text)
        type(array_view), intent(in) :: view
        character(:), allocatable :: text

        text = extents_text(view%extents(:view%rank))
    end function

    function kind_name(real_kind) result(name)
        integer, intent(in) :: real_kind
        character(:), allocatable :: name

        select case (real_kind)
        case (real32)
            name = "real(real32)"
        case (real64)
            name = "real(real64)"
        case default
            name = "real of kind " // number(int(real_kind, int64))
        end select
    end function

    !> How the library sees the array. With the channels first in memory they are last in C's order; otherwise what is
    !> before them is one sample's values, and what is behind them the samples.
    pure function batch_shape(view, dim) result(shape)
        type(array_view), intent(in) :: view
        integer, intent(in) :: dim
        type(lockstep_shape) :: shape

        if (dim == 1) then
            shape%channel_order = lockstep_channels_last
            shape%spatial = product(view%extents(2:view%rank - 1))
            shape%batch = 1
            if (view%rank > 1) shape%batch = view%extents(view%rank)
        else
            shape%channel_order = lockstep_channels_first
            shape%spatial = product(view%extents(:dim - 1))
            shape%batch = product(view%extents(dim + 1:view%rank))
        end if
        if (shape%spatial == 0) then  ! no values: said in one way
            shape%spatial = 1
            shape%batch = 0
        end if
    end function

! The procedures for one kind, for each of both; the preprocessor joins _/**/ and what follows to one name.
#define REAL_KIND real32
#include "lockstep_arrays_of_kind.inc"
#undef REAL_KIND
#define REAL_KIND real64
#include "lockstep_arrays_of_kind.inc"
#undef REAL_KIND

end module
