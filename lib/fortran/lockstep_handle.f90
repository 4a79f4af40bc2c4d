!> What all types of the module lockstep are: the owner of one object of the library. And how an error reaches the
!> caller.
!>
!> A handle owns its object as long as it stays where it was when it got it: it knows its own address. Fortran copies
!> values in ways that a type can neither forbid nor count (assignment of a type that has it as a component, source=,
!> array constructors, function results). Whatever such a copy is, it lies elsewhere: it owns nothing, frees nothing,
!> and using it is an error in words.
module lockstep_handle
    use, intrinsic :: iso_c_binding, only: c_associated, c_int, c_intptr_t, c_loc, c_null_ptr, c_ptr
    use, intrinsic :: iso_fortran_env, only: error_unit, int64
    use lockstep_c, only: lockstep_communicator_announce_failure, lockstep_message, lockstep_ok
    use lockstep_text, only: from_c, number, to_c
    implicit none
    private
    public :: own, own_created, give_up, c_object, tell_of_failures, outcome_of, conclude

    type, abstract, public :: handle
        private
        type(c_ptr) :: object = c_null_ptr
        integer(c_intptr_t) :: place = 0
        ! Who learns of an error that ends the program, and which rank it says it was on.
        procedure(lockstep_communicator_announce_failure), pointer, nopass :: announce => null()
        type(c_ptr) :: announce_to = c_null_ptr
        integer :: rank_in_errors = -1
    contains
        procedure(type_name_of), nopass, deferred :: type_name
    end type

    !> How a procedure has ended. Each procedure with stat and errmsg passes it to tell and conclude: an optional errmsg
    !> that is passed on to another optional one loses its length in gfortran 12.
    type, public :: call_outcome
        integer :: code = 0
        character(:), allocatable :: message
    contains
        procedure :: tell
    end type

    abstract interface
        function type_name_of() result(name)
            character(:), allocatable :: name
        end function
    end interface

contains

    !> Makes this the owner of `object`.
    subroutine own(self, object)
        class(handle), intent(inout) :: self
        type(c_ptr), intent(in) :: object

        self%object = object
        self%place = address_of(self)
    end subroutine

    !> From now on an error that ends the program is told to the ranks that wait for this one, by `announce` with
    !> `announce_to`.
    subroutine tell_of_failures(self, announce, announce_to, rank)
        class(handle), intent(inout) :: self
        procedure(lockstep_communicator_announce_failure) :: announce
        type(c_ptr), intent(in) :: announce_to
        integer, intent(in) :: rank

        self%announce => announce
        self%announce_to = announce_to
        self%rank_in_errors = rank
    end subroutine

    !> The object, for the caller to free; the handle is empty then. NULL if it is empty, or a copy.
    function give_up(self) result(object)
        class(handle), intent(inout) :: self
        type(c_ptr) :: object

        object = c_object(self)
        self%object = c_null_ptr
        self%place = 0
        self%announce => null()
        self%rank_in_errors = -1
    end function

    !> The object, for a call of the library; NULL, which is an error there, if this is empty, or a copy.
    function c_object(self) result(object)
        class(handle), intent(in) :: self
        type(c_ptr) :: object

        object = c_null_ptr
        ! The address first: a temporary of the compiler may hold anything.
        if (self%place == address_of(self)) object = self%object
    end function

    !> The outcome of a call of the library: `code` is what it returned, `other` an argument that may be what is wrong.
    function outcome_of(self, code, other) result(outcome)
        class(handle), intent(in) :: self
        integer(c_int), intent(in) :: code
        class(handle), intent(in), optional :: other
        type(call_outcome) :: outcome

        if (code == lockstep_ok) return
        outcome = outcome_in_library(code, other)
        if (unusable(self) /= "") outcome%message = unusable(self)
    end function

    !> The same of a call that has made `object`, which this then owns.
    subroutine own_created(self, code, object, outcome, other)
        class(handle), intent(inout) :: self
        integer(c_int), intent(in) :: code
        type(c_ptr), intent(in) :: object
        type(call_outcome), intent(out) :: outcome
        class(handle), intent(in), optional :: other

        if (code == lockstep_ok) then
            call own(self, object)
        else
            outcome = outcome_in_library(code, other)
        end if
    end subroutine

    function outcome_in_library(code, other) result(outcome)
        integer(c_int), intent(in) :: code
        class(handle), intent(in), optional :: other
        type(call_outcome) :: outcome

        ! Not by the constructor, whose text gfortran 12 never frees.
        outcome%code = int(code)
        outcome%message = from_c(lockstep_message())
        if (present(other)) then
            if (unusable(other) /= "") outcome%message = unusable(other)
        end if
    end function

    !> Into the errmsg of the caller, which stays as it is if there is no error.
    subroutine tell(self, errmsg)
        class(call_outcome), intent(in) :: self
        character(:), allocatable, intent(inout) :: errmsg

        if (self%code /= 0) errmsg = self%message
    end subroutine

    !> Ends a procedure as allocate does: the code of an error is in stat; without stat it ends the program, after it
    !> has told the ranks that would wait for this one.
    subroutine conclude(self, outcome, stat)
        class(handle), intent(in) :: self
        type(call_outcome), intent(in) :: outcome
        integer, intent(out), optional :: stat
        integer(c_int) :: ignored

        if (present(stat)) stat = outcome%code
        if (present(stat) .or. outcome%code == 0) return
        if (c_associated(c_object(self)) .and. associated(self%announce)) &
            ignored = self%announce(self%announce_to, to_c(outcome%message))
        if (self%rank_in_errors >= 0 .and. index(outcome%message, "rank ") /= 1) then
            write (error_unit, "(4a)") "lockstep: rank ", number(int(self%rank_in_errors, int64)), ": ", outcome%message
        else
            write (error_unit, "(2a)") "lockstep: ", outcome%message
        end if
        flush (error_unit)
        error stop 1, quiet=.true.
    end subroutine

    !> Why nothing can be done with this; empty if something can.
    function unusable(self) result(why)
        class(handle), intent(in) :: self
        character(:), allocatable :: why

        why = ""
        if (c_associated(c_object(self))) return
        if (c_associated(self%object)) then
            why = "this " // self%type_name() // " is a copy, and a copy cannot be used: the other one would free what &
                &both hold. Pass the one that was created, or point to it (a pointer component is copied as a pointer)"
        else
            why = "this " // self%type_name() // " is empty: it was not created, or was freed"
        end if
    end function

    function address_of(self) result(address)
        class(handle), intent(in), target :: self
        integer(c_intptr_t) :: address

        address = transfer(c_loc(self%place), address)
    end function
end module
