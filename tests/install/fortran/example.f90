! Normalizes two channels over all ranks, forward and backward, in Fortran; and checks the numbers.
program example
    use iso_c_binding
    use lockstep
    use mpi
    implicit none

    integer :: rank, ranks, error, i, first, total
    integer :: failures = 0
    type(c_ptr) :: communicator, layer, saved, pointer_to_values
    integer(c_int64_t) :: n
    real(c_double), pointer :: running_mean(:)
    real(c_double), allocatable :: x(:, :), z(:, :), dz(:, :), dx(:, :)
    real(c_double) :: mean, variance
    type(lockstep_shape) :: shape_of_x

    call mpi_init(error)
    call mpi_comm_rank(mpi_comm_world, rank, error)
    call mpi_comm_size(mpi_comm_world, ranks, error)

    call must(lockstep_communicator_create_fortran(mpi_comm_world, 60d0, communicator))
    call must(lockstep_batch_norm_create(lockstep_double, 2_c_int64_t, communicator, c_null_ptr, layer))
    call must(lockstep_moments_create(saved))

    ! Rank r has r + 1 samples; channel 1 counts them, channel 2 has 10 minus twice that.
    first = rank * (rank + 1) / 2
    total = ranks * (ranks + 1) / 2
    allocate (x(2, rank + 1), z(2, rank + 1), dz(2, rank + 1), dx(2, rank + 1))
    do i = 1, rank + 1
        x(1, i) = first + i - 1
        x(2, i) = 10 - 2 * x(1, i)
    end do
    dz = 1
    shape_of_x%batch = rank + 1

    call must(lockstep_batch_norm_forward(layer, x, z, shape_of_x, saved))
    mean = (total - 1) / 2d0
    variance = (real(total, c_double)**2 - 1) / 12
    do i = 1, rank + 1
        call check(abs(z(1, i) - (x(1, i) - mean) / sqrt(variance + 1d-5)) < 1d-9, "channel 1 is normalized")
        call check(abs(z(2, i) + 2 * (x(1, i) - mean) / sqrt(4 * variance + 1d-5)) < 1d-9, "channel 2 is normalized")
    end do

    call must(lockstep_batch_norm_backward(layer, x, dz, dx, shape_of_x, saved))
    call check(all(abs(dx) < 1d-9), "a constant dz leaves nothing of dx")

    call must(lockstep_batch_norm_values(layer, lockstep_running_mean, pointer_to_values, n))
    call c_f_pointer(pointer_to_values, running_mean, [n])
    call check(abs(running_mean(1) - 0.1d0 * mean) < 1d-12, "running mean of channel 1")
    call check(abs(running_mean(2) - (1 - 0.2d0 * mean)) < 1d-12, "running mean of channel 2")

    call lockstep_moments_free(saved)
    call lockstep_batch_norm_free(layer)
    call check(lockstep_batch_norm_create(9, 2_c_int64_t, communicator, c_null_ptr, layer) /= lockstep_ok, &
        "an unknown type is refused")
    call mpi_allreduce(mpi_in_place, failures, 1, mpi_integer, mpi_sum, mpi_comm_world, error)
    call mpi_finalize(error)
    call lockstep_communicator_free(communicator)
    if (failures /= 0) error stop 1

contains

    subroutine check(holds, what)
        logical, intent(in) :: holds
        character(*), intent(in) :: what
        if (holds) return
        failures = failures + 1
        print *, "failed: ", what
    end subroutine

    !> Ends the program with the library's words: one way of treating errors.
    subroutine must(code)
        integer(c_int), intent(in) :: code
        character(kind=c_char), pointer :: text(:)
        integer :: k, ignored
        if (code == lockstep_ok) return
        call c_f_pointer(lockstep_message(), text, [1000])
        do k = 1, size(text)
            if (text(k) == c_null_char) exit
        end do
        print *, "lockstep: ", text(1:k - 1)
        call mpi_abort(mpi_comm_world, 1, ignored)
    end subroutine
end program
