! Communicators from the handles of both MPI modules, parts, failures that are announced; and what the library tells of
! itself.
module handles_of_mpi_f08
    use mpi_f08, only: MPI_COMM_WORLD, MPI_Comm_dup, MPI_Comm_free, MPI_Comm
    use checks, only: check, rank, ranks
    use lockstep, only: communicator
    implicit none
    private
    public :: check_handles_of_mpi_f08, check_all

contains

    !> A communicator of all ranks.
    subroutine check_all(comm, what)
        type(communicator), intent(in) :: comm
        character(*), intent(in) :: what

        call check(comm%rank() == rank, what // ": the rank")
        call check(comm%size() == ranks, what // ": the size")
    end subroutine

    subroutine check_handles_of_mpi_f08()
        type(communicator) :: comm
        type(MPI_Comm) :: duplicate

        call comm%create(MPI_COMM_WORLD)
        call check_all(comm, "a communicator from type(MPI_Comm)")
        call MPI_Comm_dup(MPI_COMM_WORLD, duplicate)
        call comm%create(duplicate)  ! again: the one before is freed
        call check_all(comm, "a communicator from another type(MPI_Comm)")
        call comm%create(duplicate%MPI_VAL)
        call check_all(comm, "a communicator from the handle in it")
        call MPI_Comm_free(duplicate)
    end subroutine
end module

program communicators_test
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use mpi
    use checks, only: begin, check, check_error, finish, rank, ranks
    use handles_of_mpi_f08, only: check_all, check_handles_of_mpi_f08
    use lockstep
    implicit none

    call begin()
    call check_library()
    call check_handles()
    call check_handles_of_mpi_f08()
    call check_what_is_no_handle()
    call check_parts()
    call check_agreement()
    call check_announcements()
    call check_layers_announcements()
    call finish()

contains

    subroutine check_library()
        character(MPI_MAX_LIBRARY_VERSION_STRING) :: library
        character(20) :: version
        integer :: length, error

        call get_command_argument(2, version)
        call check(lockstep_version() == trim(version), "the version of the library")
        call MPI_Get_library_version(library, length, error)
        call check(lockstep_mpi_library() == library(:length), "the MPI library")
    end subroutine

    subroutine check_handles()
        type(communicator) :: comm
        type(session) :: mpi_is_there_already
        integer :: duplicate, error

        call mpi_is_there_already%create()
        call mpi_is_there_already%free()  ! leaves MPI alone, which it has not initialized
        call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
        call check_all(comm, "a communicator from an integer")
        call MPI_Comm_dup(MPI_COMM_WORLD, duplicate, error)
        call comm%create(int(duplicate, int64))
        call check_all(comm, "a communicator from a long integer")
        call MPI_Comm_free(duplicate, error)
        call comm%create_world(timeout_seconds=60._real64)
        call check_all(comm, "the communicator of all")
        call comm%create_self()
        call check(comm%rank() == 0, "the rank in the communicator of one")
        call check(comm%size() == 1, "the size of the communicator of one")
    end subroutine

    subroutine check_what_is_no_handle()
        type(communicator) :: comm
        character(:), allocatable :: errmsg
        integer :: stat

        call comm%create(1._real32, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "the parent must be an MPI communicator")
        call comm%create("world", stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "the parent must be an MPI communicator")
        call comm%create(.true., stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "the parent must be an MPI communicator")
        call comm%create(huge(1_int64), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "the parent must be an MPI communicator")
        call comm%create((1._real64, 2._real64), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "the parent must be an MPI communicator")
    end subroutine

    subroutine check_parts()
        type(communicator) :: comm, part
        integer :: stat
        character(:), allocatable :: errmsg

        call comm%create_world()
        call comm%split(color=mod(rank, 2), key=-rank, part=part)
        call check(part%size() == (ranks + 1 - mod(rank, 2)) / 2, "the size of a part")
        call check(part%rank() == part%size() - 1 - rank / 2, "ranks in a part are ordered by the key")
        call comm%free()
        call comm%split(color=0, key=0, part=part, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator is empty")
        call check(part%size() == (ranks + 1 - mod(rank, 2)) / 2, "what cannot be split leaves the part alone")
    end subroutine

    subroutine check_agreement()
        type(communicator) :: comm
        integer :: stat
        character(:), allocatable :: errmsg

        call comm%create_world(timeout_seconds=60._real64)
        call comm%check_agreement("the next step", "kind", "explicit")
        if (ranks == 1) return
        call comm%check_agreement("the next step", "kind", trim(merge("implicit", "explicit", rank == 0)), stat=stat, &
            errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_communication_error, "the next step: kind: implicit on rank 0; explicit")
    end subroutine

    subroutine check_announcements()
        type(communicator) :: comm
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64) :: x(2, 3), z(2, 3)
        integer :: stat
        character(:), allocatable :: errmsg

        if (ranks == 1) return
        call comm%create_world(timeout_seconds=60._real64)
        call norm%create(2, comm, kind=real64)
        x = rank
        if (rank == ranks - 1) then
            call comm%announce_failure("the mesh has a hole")
        else
            call norm%forward(x, z, saved, stat=stat, errmsg=errmsg)
            call check_error(stat, errmsg, lockstep_communication_error, "the mesh has a hole")
        end if
    end subroutine

    subroutine check_layers_announcements()
        type(communicator) :: comm
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64) :: x(2, 3), z(2, 3)
        integer :: stat
        character(:), allocatable :: errmsg

        if (ranks == 1) return
        call comm%create_world(timeout_seconds=60._real64)
        call norm%create(2, comm, kind=real64)
        call comm%free()
        x = rank
        if (rank == 0) then
            call norm%announce_failure("the coast is not clear")
        else
            call norm%forward(x, z, saved, stat=stat, errmsg=errmsg)
            call check_error(stat, errmsg, lockstep_communication_error, "the coast is not clear")
        end if
    end subroutine
end program
