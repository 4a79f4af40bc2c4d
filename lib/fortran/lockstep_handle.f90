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
    public :: own, give_up, c_object, conclude, conclude_creation, fail, tell_of_failures

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

    !> Ends a procedure that has called the library: `code` is what that returned, `other` an argument of the
    !> procedure that may be what is wrong.
    subroutine conclude(self, code, stat, errmsg, other)
        class(handle), intent(in) :: self
        integer(c_int), intent(in) :: code
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        class(handle), intent(in), optional :: other

        if (code == lockstep_ok) then
            if (present(stat)) stat = 0
        else if (unusable(self) /= "") then
            call fail(self, int(code), unusable(self), stat, errmsg)
        else
            call fail_in_library(self, code, stat, errmsg, other)
        end if
    end subroutine

    !> The same for a procedure that has asked the library for `object`, which this then owns.
    subroutine conclude_creation(self, code, object, stat, errmsg, other)
        class(handle), intent(inout) :: self
        integer(c_int), intent(in) :: code
        type(c_ptr), intent(in) :: object
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        class(handle), intent(in), optional :: other

        if (code == lockstep_ok) then
            call own(self, object)
            if (present(stat)) stat = 0
        else
            call fail_in_library(self, code, stat, errmsg, other)
        end if
    end subroutine

    !> Reports an error as allocate does: to stat and errmsg; without stat it ends the program, after it has told the
    !> ranks that would wait for this one.
    subroutine fail(self, code, message, stat, errmsg)
        class(handle), intent(in) :: self
        integer, intent(in) :: code
        character(*), intent(in) :: message
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        integer(c_int) :: ignored

        if (present(errmsg)) errmsg = message
        if (present(stat)) then
            stat = code
            return
        end if
        if (c_associated(c_object(self)) .and. associated(self%announce)) &
            ignored = self%announce(self%announce_to, to_c(message))
        if (self%rank_in_errors >= 0 .and. index(message, "rank ") /= 1) then
            write (error_unit, "(a)") "lockstep: rank " // number(int(self%rank_in_errors, int64)) // ": " // message
        else
            write (error_unit, "(a)") "lockstep: " // message
        end if
        flush (error_unit)
        error stop 1, quiet=.true.
    end subroutine

    subroutine fail_in_library(self, code, stat, errmsg, other)
        class(handle), intent(in) :: self
        integer(c_int), intent(in) :: code
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        class(handle), intent(in), optional :: other
        character(:), allocatable :: message

        message = from_c(lockstep_message())
        if (present(other)) then
            if (unusable(other) /= "") message = unusable(other)
        end if
        call fail(self, int(code), message, stat, errmsg)
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
