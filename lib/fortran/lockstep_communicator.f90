!> Communicators of the library, and sessions.
module lockstep_communicator
    use, intrinsic :: iso_c_binding, only: c_double, c_f_pointer, c_int, c_int32_t, c_loc, c_ptr
    use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
    use lockstep_c
    use lockstep_handle, only: c_object, call_outcome, conclude, give_up, handle, outcome_of, own_created, &
        tell_of_failures
    use lockstep_text, only: from_c, to_c
    implicit none
    private
    public :: lockstep_mpi_library

    !> A duplicate of an MPI communicator. Layers that share one notice each other's mistakes.
    type, extends(handle), public :: communicator
    contains
        procedure :: create => create_from_parent
        procedure :: create_world
        procedure :: create_self
        procedure :: split
        procedure :: rank => rank_of
        procedure :: size => size_of
        procedure :: check_agreement
        procedure :: announce_failure
        procedure :: free => free_communicator
        procedure, nopass :: type_name => type_name_of_communicator
        final :: finish_communicator
    end type

    !> MPI for as long as this lives: initialized unless somebody has, and finalized in that case.
    type, extends(handle), public :: session
    contains
        procedure :: create => create_session
        procedure :: free => free_session
        procedure, nopass :: type_name => type_name_of_session
        final :: finish_session
    end type

contains

    !> What the MPI library calls itself.
    function lockstep_mpi_library() result(name)
        character(:), allocatable :: name

        name = from_c(c_mpi_library())
    end function

    !> Duplicates `parent`, MPI_COMM_WORLD say, of the module mpi or of mpi_f08; collective over it. An exchange may
    !> wait for other ranks as long as `timeout_seconds`, 300 by default.
    subroutine create_from_parent(self, parent, timeout_seconds, stat, errmsg)
        class(communicator), intent(inout) :: self
        class(*), intent(in) :: parent  ! an integer, or type(MPI_Comm), which has one as its only component
        real(real64), intent(in), optional :: timeout_seconds
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code
        integer(int32) :: fortran_handle
        logical :: is_handle

        call read_handle(parent, fortran_handle, is_handle)
        if (.not. is_handle) then
            outcome%code = lockstep_usage_error
            outcome%message = "communicator%create: the parent must be an MPI communicator: an integer, or &
                &type(MPI_Comm) of the module mpi_f08"
            if (present(errmsg)) call outcome%tell(errmsg)
            call conclude(self, outcome, stat)
            return
        end if
        call self%free()
        code = lockstep_communicator_create_fortran(fortran_handle, seconds_of(timeout_seconds), object)
        call own_communicator(self, code, object, outcome)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> The same of MPI_COMM_WORLD.
    subroutine create_world(self, timeout_seconds, stat, errmsg)
        class(communicator), intent(inout) :: self
        real(real64), intent(in), optional :: timeout_seconds
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_communicator_create_world(seconds_of(timeout_seconds), object)
        call own_communicator(self, code, object, outcome)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> The calling process alone; not collective.
    subroutine create_self(self, stat, errmsg)
        class(communicator), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_communicator_create_self(object)
        call own_communicator(self, code, object, outcome)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> As MPI_Comm_split: collective; `part` becomes the communicator of all ranks with this color, ordered by key.
    subroutine split(self, color, key, part, stat, errmsg)
        class(communicator), intent(in) :: self
        integer, intent(in) :: color, key
        class(communicator), intent(inout) :: part
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        code = lockstep_communicator_split(c_object(self), int(color, c_int32_t), int(key, c_int32_t), object)
        outcome = outcome_of(self, code)
        if (code == lockstep_ok) then
            call part%free()
            call own_communicator(part, code, object, outcome)
        end if
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    integer function rank_of(self, stat, errmsg) result(rank)
        class(communicator), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int32_t) :: found
        integer(c_int) :: code

        found = -1
        code = lockstep_communicator_rank(c_object(self), found)
        outcome = outcome_of(self, code)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
        rank = int(found)
    end function

    integer function size_of(self, stat, errmsg) result(ranks)
        class(communicator), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int32_t) :: found
        integer(c_int) :: code

        found = 0
        code = lockstep_communicator_size(c_object(self), found)
        outcome = outcome_of(self, code)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
        ranks = int(found)
    end function

    !> Makes sure that `value` is the same text on every rank; otherwise every rank gets an error that names `what` (that
    !> the ranks are about to do), `key` and the values. Collective.
    subroutine check_agreement(self, what, key, value, stat, errmsg)
        class(communicator), intent(in) :: self
        character(*), intent(in) :: what, key, value
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, &
            lockstep_communicator_check_agreement(c_object(self), to_c(what), to_c(key), to_c(value)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Tells all other ranks that this one cannot go on, and why: those that wait for it get an error with these words
    !> at once. The communicator is of no use after.
    subroutine announce_failure(self, why, stat, errmsg)
        class(communicator), intent(in) :: self
        character(*), intent(in) :: why
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_communicator_announce_failure(c_object(self), to_c(why)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Also without a call, when the communicator goes out of scope. Layers on it stay as they are.
    subroutine free_communicator(self)
        class(communicator), intent(inout) :: self

        call lockstep_communicator_free(give_up(self))
    end subroutine

    impure elemental subroutine finish_communicator(self)
        type(communicator), intent(inout) :: self

        call self%free()
    end subroutine

    !> Owns what the library has made, if it has, and tells its ranks of failures from then on.
    subroutine own_communicator(self, code, object, outcome)
        class(communicator), intent(inout) :: self
        integer(c_int), intent(in) :: code
        type(c_ptr), intent(in) :: object
        type(call_outcome), intent(out) :: outcome

        call own_created(self, code, object, outcome)
        if (code == lockstep_ok) &
            call tell_of_failures(self, lockstep_communicator_announce_failure, c_object(self), self%rank())
    end subroutine

    function type_name_of_communicator() result(name)
        character(:), allocatable :: name

        name = "communicator"
    end function

    real(c_double) function seconds_of(timeout_seconds)
        real(real64), intent(in), optional :: timeout_seconds

        seconds_of = 300
        if (present(timeout_seconds)) seconds_of = timeout_seconds
    end function

    !> The Fortran handle of a communicator. The type of mpi_f08 cannot be named here: the library would then be of one
    !> MPI and one compiler. But MPI says what it is: bind(c), with one default integer.
    subroutine read_handle(parent, fortran_handle, is_handle)
        class(*), intent(in) :: parent
        integer(int32), intent(out) :: fortran_handle
        logical, intent(out) :: is_handle
        integer(int32), pointer :: component

        fortran_handle = 0
        is_handle = .false.
        select type (parent)
        type is (integer(int32))
            fortran_handle = parent
            is_handle = .true.
        type is (integer(int64))
            fortran_handle = int(parent, int32)
            is_handle = parent == fortran_handle
        type is (real(real32))
        type is (real(real64))
        type is (character(*))
        type is (logical)
        class default
            if (storage_size(parent) /= storage_size(fortran_handle)) return
            call c_f_pointer(address_of(parent), component)
            fortran_handle = component
            is_handle = .true.
        end select
    end subroutine

    function address_of(any) result(address)
        type(*), intent(in), target :: any
        type(c_ptr) :: address

        address = c_loc(any)
    end function

    subroutine create_session(self, stat, errmsg)
        class(session), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_session_create(object)
        call own_created(self, code, object, outcome)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine free_session(self)
        class(session), intent(inout) :: self

        call lockstep_session_free(give_up(self))
    end subroutine

    impure elemental subroutine finish_session(self)
        type(session), intent(inout) :: self

        call self%free()
    end subroutine

    function type_name_of_session() result(name)
        character(:), allocatable :: name

        name = "session"
    end function
end module
