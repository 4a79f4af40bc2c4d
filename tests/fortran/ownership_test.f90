! Who owns what: objects are freed when they go out of scope, once, and a copy of one can do no harm.
module owners
    use, intrinsic :: iso_fortran_env, only: real64
    use lockstep
    implicit none
    private
    public :: network, new_network, free_early

    !> As programs hold layers.
    type :: network
        type(batch_norm) :: first
        type(batch_norm), allocatable :: others(:)
    end type

contains

    function new_network(comm, channels) result(made)
        type(communicator), intent(in) :: comm
        integer, intent(in) :: channels
        type(network) :: made
        integer :: i

        allocate (made%others(2))
        call made%first%create(channels, comm, kind=real64)
        do i = 1, size(made%others)
            call made%others(i)%create(channels, comm, kind=real64)
        end do
    end function

    subroutine free_early(norm)
        type(batch_norm), intent(inout) :: norm

        call norm%free()
        call norm%free()
    end subroutine
end module

program ownership_test
    use, intrinsic :: iso_fortran_env, only: int64, real64
    use mpi, only: MPI_COMM_WORLD
    use checks, only: begin, check, check_error, finish
    use lockstep
    use owners, only: free_early, network, new_network
    implicit none

    character(*), parameter :: words = "is a copy, and a copy cannot be used"
    type(communicator) :: comm
    integer :: stat
    character(:), allocatable :: errmsg
    real(real64) :: x(2, 3), z(2, 3)

    x = reshape([1._real64, 2._real64, 3._real64, 4._real64, 5._real64, 6._real64], [2, 3])
    call begin()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call check_assignment()
    call check_copies_of_owners()
    call check_other_copies()
    call check_what_moves()
    call check_created_again()
    call check_freed()
    call check_scopes()
    call finish()  ! comm is freed after MPI has ended, or never

contains

    subroutine expect_usable(norm, what)
        type(batch_norm), intent(inout) :: norm
        character(*), intent(in) :: what
        type(batch_moments) :: saved

        call norm%forward(x, z, saved, stat=stat, errmsg=errmsg)
        if (stat /= 0) call check(.false., what // ": " // errmsg)
    end subroutine

    subroutine expect_unusable(norm)
        type(batch_norm), intent(inout) :: norm
        type(batch_moments) :: saved

        call norm%forward(x, z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm " // words)
    end subroutine

    subroutine check_assignment()
        type(batch_norm) :: norm, copied
        type(communicator) :: copied_comm
        type(batch_moments) :: saved, copied_moments
        integer :: ignored

        call norm%create(2, comm, kind=real64)
        copied = norm
        call expect_unusable(copied)
        call expect_usable(norm, "a layer that was copied")
        copied = norm
        call copied%free()
        call expect_usable(norm, "a layer whose copy was freed")

        copied_comm = comm
        ignored = copied_comm%rank(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator " // words)
        call copied%create(2, copied_comm, kind=real64, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator " // words)
        call norm%forward(x, z, saved)
        copied_moments = saved
        call norm%backward(x, x, z, copied_moments, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_moments " // words)
        call norm%forward(x, z, copied_moments)  ! these are its own
        call norm%backward(x, x, z, copied_moments)
        call norm%backward(x, x, z, saved)
    end subroutine

    subroutine check_copies_of_owners()
        type(network) :: net, copied

        allocate (net%others(2))
        call net%first%create(2, comm, kind=real64)
        call net%others(2)%create(2, comm, kind=real64)
        copied = net
        call expect_unusable(copied%first)
        call expect_unusable(copied%others(2))
        call copied%others(1)%create(2, comm, kind=real64)
        call expect_usable(copied%others(1), "a layer that was made in a copy")
        call expect_usable(net%first, "a component that was copied")
        call expect_usable(net%others(2), "an allocatable component that was copied")
    end subroutine

    subroutine check_other_copies()
        type(batch_norm), allocatable :: norm, sourced, many(:)
        type(network) :: net
        type(batch_moments) :: saved

        allocate (norm)
        call norm%create(2, comm, kind=real64)
        allocate (sourced, source=norm)
        call expect_unusable(sourced)
        deallocate (sourced)
        many = [norm, norm]
        call expect_unusable(many(2))
        deallocate (many)
        net = network(norm)
        call expect_unusable(net%first)
        call expect_usable(norm, "a layer that was copied in many ways")
        deallocate (norm)
        call expect_unusable(net%first)
        ! A function's result is another variable, whether compilers copy or finalize it.
        net = new_network(comm, 2)
        call net%first%forward(x, z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm")
    end subroutine

    subroutine check_what_moves()
        type(batch_norm), allocatable :: norm, moved
        type(batch_norm), pointer :: pointed, also_pointed

        allocate (norm)
        call norm%create(2, comm, kind=real64)
        call move_alloc(norm, moved)
        call expect_usable(moved, "a layer whose variable was moved")
        allocate (pointed)
        call pointed%create(2, comm, kind=real64)
        also_pointed => pointed
        call expect_usable(also_pointed, "a layer that two pointers share")
        deallocate (pointed)
    end subroutine

    subroutine check_created_again()
        type(batch_norm) :: norm
        integer :: i

        do i = 2, 4
            call norm%create(i, comm, kind=real64)
        end do
        call check(norm%channels() == 4, "a layer that was created again")
        call norm%create(2, comm, kind=real64)
        call expect_usable(norm, "a layer that was created again")
    end subroutine

    subroutine check_freed()
        type(batch_norm) :: norm
        type(precise_statistics) :: precise
        type(batch_moments) :: saved

        call norm%create(2, comm, kind=real64)
        call precise%create(norm)
        call norm%forward(x, z, saved)
        call precise%free()
        call saved%free()
        call free_early(norm)
        call norm%forward(x, z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty: it was not created, or was freed")
    end subroutine

    !> What goes out of scope is freed: any type's objects would be 90 MB or more here. MPICH has 2048 communicators.
    subroutine check_scopes()
        integer(int64) :: before
        integer :: i

        call use_memory()
        before = resident_kilobytes()
        do i = 1, 100
            call use_memory()
        end do
        call check(resident_kilobytes() - before < 40000, "what goes out of scope is freed")
        do i = 1, 2500
            call use_communicators()
        end do
    end subroutine

    subroutine use_communicators()
        type(communicator) :: alone, several(2)

        call alone%create_self()
        call several(2)%create_self()
    end subroutine

    subroutine use_memory()
        integer, parameter :: channels = 20000
        type(network) :: net
        type(batch_norm), allocatable :: more(:)
        type(communicator) :: alone
        type(batch_moments) :: saved(2)
        type(precise_statistics) :: precise(3)
        real(real64), allocatable :: values(:, :)
        integer :: i

        call alone%create_self()
        allocate (net%others(2), more(2), values(channels, 1))
        values = 1
        call net%first%create(channels, alone, kind=real64)
        do i = 1, 3
            call precise(i)%create(net%first)
        end do
        do i = 1, 2
            call net%others(i)%create(channels, alone, kind=real64)
            call more(i)%create(channels, alone, kind=real64)
            call more(i)%forward(values, values, saved(i))
        end do
    end subroutine

    integer(int64) function resident_kilobytes()
        character(100) :: line
        integer :: unit, ended

        resident_kilobytes = 0
        open (newunit=unit, file="/proc/self/status", action="read")
        do
            read (unit, "(a)", iostat=ended) line
            if (ended /= 0) exit
            if (line(:6) == "VmRSS:") read (line(7:index(line, "kB") - 1), *) resident_kilobytes
        end do
        close (unit)
    end function
end program
