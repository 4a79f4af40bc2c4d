! A layer's work on a pool of threads, and on the program's own: the bits of the calling thread alone.
module executors
    use lockstep, only: executor, executor_task
    implicit none
    private

    !> Runs the tasks backwards, and counts them.
    type, extends(executor), public :: backwards
        integer :: width = 3, tasks = 0
    contains
        procedure :: threads
        procedure :: run
    end type

contains

    integer function threads(self)
        class(backwards), intent(in) :: self

        threads = self%width
    end function

    subroutine run(self, tasks, task)
        class(backwards), intent(inout) :: self
        integer, intent(in) :: tasks
        type(executor_task), intent(in) :: task
        integer :: i

        do i = tasks, 1, -1
            call task%perform(i)
        end do
        self%tasks = self%tasks + tasks
    end subroutine
end module

program threads_test
    use, intrinsic :: iso_fortran_env, only: real32, real64
    use mpi, only: MPI_COMM_WORLD
    use checks, only: begin, check, check_error, finish, rank, same_bits
    use executors, only: backwards
    use lockstep
    implicit none

    integer, parameter :: channels = 64, samples = 2000
    type(communicator) :: comm
    real(real32), allocatable :: x(:, :), dz(:, :), z(:, :), dx(:, :), inferred(:, :)
    integer :: i

    call begin()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    x = reshape([(real(sin(0.01 * i + rank), real32), i = 1, channels * samples)], [channels, samples])
    dz = cos(x)
    allocate (z, dx, inferred, mold=x)
    call check_pool()
    call check_own_executor()
    call check_refusals()
    call finish()

contains

    subroutine run_passes(norm)
        type(batch_norm), intent(inout) :: norm
        type(batch_moments) :: saved

        call norm%forward(x, z, saved)
        call norm%backward(x, dz, dx, saved)
        call norm%infer(x, inferred)
    end subroutine

    !> The passes of two layers: of one as it is, and of `norm`.
    subroutine check_bits(norm, what)
        type(batch_norm), intent(inout) :: norm
        character(*), intent(in) :: what
        type(batch_norm) :: alone
        real(real32), allocatable :: expected(:)

        call alone%create(channels, comm, kind=real32)
        call run_passes(alone)
        expected = [z, dx, inferred]
        call run_passes(norm)
        call check(same_bits([z, dx, inferred], expected), what)
    end subroutine

    subroutine check_pool()
        type(thread_pool) :: pool
        type(batch_norm) :: norm

        call pool%create(threads=3)
        call norm%create(channels, comm, kind=real32)
        call norm%set_executor(pool)
        call check_bits(norm, "a pool of threads")
        call norm%free()
        call norm%create(channels, comm, kind=real32)
        call norm%set_executor(pool)
        call norm%unset_executor()
        call check_bits(norm, "no pool any more")
    end subroutine

    subroutine check_own_executor()
        type(backwards), target :: own
        type(thread_pool) :: pool
        type(batch_norm) :: norm
        integer :: before

        call norm%create(channels, comm, kind=real32)
        call norm%set_executor(own)
        call norm%set_executor(own)
        call check_bits(norm, "an executor of the program's own")
        call check(own%tasks > 3, "the work was cut")
        before = own%tasks
        call pool%create(threads=2)
        call norm%set_executor(pool)
        call run_passes(norm)
        call check(own%tasks == before, "a pool in its place")
        call norm%set_executor(own)
        call run_passes(norm)
        call check(own%tasks > before, "the executor again")
        call norm%free()
    end subroutine

    subroutine check_refusals()
        type(thread_pool) :: pool
        type(batch_norm) :: norm
        type(backwards), target :: own
        integer :: stat
        character(:), allocatable :: errmsg

        call pool%create(threads=0, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "a thread pool needs at least one thread, not 0")
        call norm%set_executor(own, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty")
        call norm%create(channels, comm, kind=real32)
        call norm%set_executor(pool, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this thread_pool is empty")
    end subroutine
end program
