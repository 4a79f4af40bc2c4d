! Fits y = f(x) by a batch norm and a linear readout, on any number of MPI ranks, each with its own share of the data.
! The features differ in scale by a factor of a hundred thousand: batch norm takes care of that.
program fortran_batch_norm
    use, intrinsic :: iso_fortran_env, only: real64
    use mpi_f08
    use lockstep
    implicit none

    integer, parameter :: samples = 97, features = 3, steps = 200
    real(real64), parameter :: rate = 0.1_real64
    type(communicator) :: comm
    type(batch_norm) :: norm
    type(batch_moments) :: saved
    real(real64), allocatable :: x(:, :), y(:), z(:, :), dz(:, :), error(:)
    real(real64), pointer :: gamma(:), beta(:), gamma_gradient(:), beta_gradient(:)
    real(real64) :: weights(features), sums(features, 3), loss
    integer :: step, first, last

    call MPI_Init()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call norm%create(features, comm, kind=real64, name="input")
    call norm%get_gamma(gamma)  ! the layer's own arrays
    call norm%get_beta(beta)
    call norm%get_gamma_gradient(gamma_gradient)
    call norm%get_beta_gradient(beta_gradient)

    ! This rank's share: a contiguous part, of whatever size.
    first = samples * comm%rank() / comm%size() + 1
    last = samples * (comm%rank() + 1) / comm%size()
    allocate (x(features, first:last), y(first:last), error(first:last))
    allocate (z, dz, mold=x)
    call read_samples()

    weights = 0
    do step = 1, steps
        call norm%forward(x, z, saved)  ! the one exchange of the forward pass

        ! The loss is the mean of (w*z - y)**2; its gradients are sums over all samples of all ranks.
        error = matmul(weights, z) - y
        loss = sum(error**2) / samples
        sums(:, 1) = matmul(z, 2 * error / samples)
        dz = spread(weights, 2, size(error)) * spread(2 * error / samples, 1, features)

        call norm%zero_gradients()
        call norm%backward_in_place(x, dz, saved)  ! the one exchange of the backward pass; dx would go on from here
        sums(:, 2) = gamma_gradient
        sums(:, 3) = beta_gradient

        call MPI_Allreduce(MPI_IN_PLACE, sums, size(sums), MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
        call MPI_Allreduce(MPI_IN_PLACE, loss, 1, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
        weights = weights - rate * sums(:, 1)
        gamma = gamma - rate * sums(:, 2)
        beta = beta - rate * sums(:, 3)
    end do
    if (comm%rank() == 0) print "(a, i0, a, f11.9)", "loss after ", steps, " steps: ", loss

    ! Evaluation uses the running averages, and communicates nothing: a rank may do it alone.
    call norm%infer(x, z)
    loss = sum((matmul(weights, z) - y)**2) / samples
    call MPI_Allreduce(MPI_IN_PLACE, loss, 1, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
    if (comm%rank() == 0) print "(a, f11.9)", "loss in evaluation: ", loss

    call norm%free()
    call comm%free()
    call MPI_Finalize()

contains

    subroutine read_samples()
        real(real64) :: t, u, v
        integer :: i

        do i = first, last
            t = sin(0.37_real64 * i)
            u = cos(1.7_real64 * i)
            v = sin(2.9_real64 * i)
            x(:, i) = [1000 + t, u / 100, 50 * v - 7]
            y(i) = 2 * t - u + v / 2 + sin(7.3_real64 * i) / 10
        end do
    end subroutine
end program
