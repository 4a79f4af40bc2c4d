! Normalizes two channels over all ranks, forward and backward; and checks the numbers.
program example_fortran
    use, intrinsic :: iso_fortran_env, only: error_unit, real64
    use mpi
    use lockstep
    implicit none

    type(communicator) :: comm
    type(batch_norm) :: norm
    type(batch_moments) :: saved
    real(real64), allocatable :: x(:, :), z(:, :), dz(:, :), dx(:, :)
    real(real64), pointer :: running_mean(:)
    real(real64) :: mean, variance
    integer :: i, first, total, error, stat, failures = 0
    character(:), allocatable :: errmsg

    call MPI_Init(error)
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call norm%create(2, comm, kind=real64)

    ! Rank r has r + 1 samples; channel 1 counts them, channel 2 has 10 minus twice that.
    first = comm%rank() * (comm%rank() + 1) / 2
    total = comm%size() * (comm%size() + 1) / 2
    allocate (x(2, comm%rank() + 1))
    do i = 1, size(x, 2)
        x(:, i) = [first + i - 1, 10 - 2 * (first + i - 1)]
    end do
    allocate (z, dx, mold=x)
    allocate (dz, source=0 * x + 1)

    call norm%forward(x, z, saved)
    mean = (total - 1) / 2._real64
    variance = (real(total, real64)**2 - 1) / 12
    call check(all(abs(z(1, :) - (x(1, :) - mean) / sqrt(variance + 1e-5_real64)) < 1e-9_real64), "channel 1")
    call check(all(abs(z(2, :) + 2 * (x(1, :) - mean) / sqrt(4 * variance + 1e-5_real64)) < 1e-9_real64), "channel 2")
    call norm%backward(x, dz, dx, saved)
    call check(all(abs(dx) < 1e-9_real64), "a constant dz leaves nothing of dx")
    call norm%get_running_mean(running_mean)
    call check(abs(running_mean(1) - mean / 10) < 1e-12_real64, "running mean of channel 1")
    call check(abs(running_mean(2) - (1 - mean / 5)) < 1e-12_real64, "running mean of channel 2")
    call norm%forward(x, z(:1, :), saved, stat=stat, errmsg=errmsg)
    call check(stat == lockstep_usage_error, "an array that does not fit is an error")
    call check(index(errmsg, "must be the layer's 2 channels") > 0, errmsg)

    call MPI_Allreduce(MPI_IN_PLACE, failures, 1, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD, error)
    call norm%free()
    call comm%free()
    call MPI_Finalize(error)
    if (failures /= 0) error stop 1

contains

    subroutine check(holds, what)
        logical, intent(in) :: holds
        character(*), intent(in) :: what

        if (holds) return
        failures = failures + 1
        write (error_unit, "(2a)") "failed: ", what
    end subroutine
end program
