! The layer of the Fortran module but for its passes: options, settings, its arrays, counters, averages of averages,
! exact statistics, other communicators.
program layer_test
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use mpi
    use checks, only: begin, check, check_close, check_error, finish, rank, ranks, same_bits, samples_of
    use lockstep
    use reference, only: channels_along, expectation
    implicit none

    integer, parameter :: channels = 2
    real(real64), parameter :: tolerance = 1e-11_real64
    type(communicator) :: comm, alone
    type(expectation) :: expected
    real(real64), allocatable :: x(:, :), z(:, :), dz(:, :)
    integer, allocatable :: channel(:)
    integer :: i, n

    call begin()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call alone%create_self()
    n = samples_of(rank)
    x = reshape([(sin(1.7_real64 * i + rank) + mod(i, 2), i = 1, channels * n)], [channels, n])
    dz = cos(x)
    allocate (z, mold=x)
    channel = channels_along([channels, n], 1)
    call expect(epsilon=1e-5_real64)

    call check_description()
    call check_moments()
    call check_activation()
    call check_affine()
    call check_settings()
    call check_bind_real64()
    call check_bind_real32()
    call check_counters()
    call check_other_communicators()
    call check_pooled_averages()
    call check_exact_statistics()
    call check_disagreement()
    call comm%free()
    call alone%free()
    call finish()

contains

    !> Of x with gamma 1 and beta 0.
    subroutine expect(epsilon)
        real(real64), intent(in) :: epsilon

        call expected%compute([x], [dz], channel, [1._real64, 1._real64], [0._real64, 0._real64], epsilon)
    end subroutine

    subroutine check_description()
        type(batch_norm) :: norm

        call norm%create(channels, comm, kind=real32, name="first")
        call check(norm%name() == "first", "the name")
        call check(norm%channels() == channels, "the channels")
        call check(norm%replicas() == 1, "one replica on each rank")
        call check(norm%groups() == 1, "one statistics group")
        call norm%create(channels, comm, kind=real32, replicas=2 * ranks, group=1)
        call check(norm%replicas() == 2, "two replicas on each rank")
        call check(norm%groups() == 2, "a statistics group for each replica")
    end subroutine

    subroutine check_moments()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64) :: count
        real(real64), allocatable :: mean(:), variance(:)
        integer :: stat
        character(:), allocatable :: errmsg

        call saved%read(count=count, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_moments is empty")
        call norm%create(channels, comm, kind=real64)
        call norm%forward(x, z, saved)
        call saved%read(count, mean, variance)
        call check_close([count], expected%count(:1), tolerance, "count")
        call check_close(mean, expected%mean, tolerance, "mean")
        call check_close(variance, expected%variance, tolerance, "variance")
        call saved%read(mean=mean, group=2, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "these moments have no statistics group 2")
    end subroutine

    subroutine check_activation()
        type(batch_norm) :: norm
        type(batch_moments) :: saved

        call norm%create(channels, comm, kind=real64, activation=activation_relu)
        call norm%forward(x, z, saved)
        call check_close([z], max(expected%z, 0._real64), tolerance, "relu")
        call norm%create(channels, comm, kind=real64, activation=activation_none)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "no activation")
    end subroutine

    subroutine check_affine()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64), pointer :: gradient(:)
        integer :: stat
        character(:), allocatable :: errmsg

        call norm%create(channels, comm, kind=real64, affine=.false., track_running_averages=.false.)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "without gamma and beta")
        call norm%backward_in_place(x, z, saved)
        call norm%get_gamma_gradient(gradient)
        call check(same_bits(gradient, [0._real64, 0._real64]), "without gamma there is no gradient of it")
        call norm%infer(x, z, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "running averages")
    end subroutine

    subroutine check_settings()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64), pointer :: mean(:)
        real(real64), allocatable :: frozen_z(:, :)

        call norm%create(channels, comm, kind=real64, epsilon=1._real64, momentum=0.5_real64)
        call norm%get_running_mean(mean)
        call expect(epsilon=1._real64)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "epsilon from the beginning")
        call check_close(mean, expected%mean / 2, tolerance, "momentum from the beginning")
        call norm%set_epsilon(1e-5_real64)
        call norm%set_momentum(1._real64)
        call expect(epsilon=1e-5_real64)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "epsilon that was set")
        call check_close(mean, expected%mean, tolerance, "momentum that was set")

        call norm%create(channels, comm, kind=real64, cumulative=.true.)
        call norm%get_running_mean(mean)
        call norm%forward(x, z, saved)
        call check_close(mean, expected%mean, tolerance, "cumulative from the beginning")
        call norm%set_momentum(0._real64)
        call norm%forward(2 * x, z, saved)
        call check_close(mean, expected%mean, tolerance, "no momentum: the averages stay")
        call norm%set_cumulative()
        call norm%forward(4 * x, z, saved)
        call check_close(mean, 2 * expected%mean, tolerance, "cumulative after all: the third batch weighs a third")

        call norm%set_frozen(.true.)
        frozen_z = z
        call norm%forward(x, frozen_z, saved)
        call norm%infer(x, z)
        call check(same_bits([frozen_z], [z]), "frozen, forward is infer")
        call norm%set_frozen(.false.)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "no longer frozen")
        call norm%create(channels, comm, kind=real64, frozen=.true.)
        call norm%forward(x, z, saved)
        call check_close([z], [x / sqrt(1 + 1e-5_real64)], tolerance, "frozen from the beginning")
    end subroutine

    subroutine check_bind_real64()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64), target :: arrays(channels, 4), wide(2 * channels)
        real(real64), pointer :: gamma(:)
        integer :: stat
        character(:), allocatable :: errmsg

        call norm%create(channels, comm, kind=real64, momentum=1._real64)
        call norm%get_gamma(gamma)
        gamma = [2._real64, 3._real64]
        call norm%bind(arrays(:, 1), arrays(:, 2), arrays(:, 3), arrays(:, 4))
        call check(same_bits(arrays(:, 1), [2._real64, 3._real64]), "bind brings the values along")
        arrays(:, 2) = [1._real64, -1._real64]
        call norm%forward(x, z, saved)
        call check_close([z], expected%z * arrays(channel, 1) + arrays(channel, 2), tolerance, "bound gamma and beta")
        call check_close(arrays(:, 3), expected%mean, tolerance, "the bound running mean")
        call norm%get_gamma(gamma)
        call check(associated(gamma, arrays(:, 1)), "gamma lies where it was bound to")
        call norm%bind(arrays(:, 1), wide(::2), arrays(:, 3), arrays(:, 4), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "beta is not contiguous")
        call norm%bind(arrays(:, 1), arrays(:, 2), wide, arrays(:, 4), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "running_mean has the extents 4: extent 1 must be the layer's 2 channels")
    end subroutine

    subroutine check_bind_real32()
        type(batch_norm) :: norm
        real(real32), target :: arrays(channels, 4)
        real(real32), pointer :: beta(:)
        real(real64), pointer :: of_another_kind(:)
        integer :: stat
        character(:), allocatable :: errmsg

        call norm%create(channels, alone, kind=real32, name="single")
        call norm%bind(arrays(:, 1), arrays(:, 2), arrays(:, 3), arrays(:, 4))
        call check(same_bits([arrays], [1._real32, 1._real32, 0._real32, 0._real32, 0._real32, 0._real32, 1._real32, &
            1._real32]), "what a layer begins with")
        arrays(:, 2) = 5
        call norm%get_beta(beta)
        call check(same_bits(beta, arrays(:, 2)), "beta lies where it was bound to")
        call norm%get_beta(of_another_kind, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "batch norm 'single' get_beta: the pointer is real(real64), but the layer was created for real(real32)")
    end subroutine

    subroutine check_counters()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        integer(int64) :: batches, with_variance
        integer :: stat
        character(:), allocatable :: errmsg

        call norm%create(1, alone, kind=real64)
        call norm%forward(reshape([1._real64, 2._real64], [1, 2]), z(1:1, 1:0), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "z has the extents 1 x 0, but x has 1 x 2")
        block
            real(real64) :: values(1, 2)
            values(1, :) = [1, 2]
            call norm%forward_in_place(values, saved)
            call norm%forward_in_place(values(:, :1), saved)
        end block
        call norm%get_batches_tracked(batches, with_variance)
        call check(batches == 2 .and. with_variance == 1, "the variance has not seen the batch of one value")
        call norm%set_batches_tracked(7_int64, with_variance=5_int64)
        call norm%get_batches_tracked(batches, with_variance)
        call check(batches == 7 .and. with_variance == 5, "counters that were set")
        call norm%set_batches_tracked(9_int64)
        call norm%get_batches_tracked(batches, with_variance)
        call check(batches == 9 .and. with_variance == 9, "one counter that was set for both")
        call norm%set_batches_tracked(-1_int64, stat=stat, errmsg=errmsg)
        call check(stat == lockstep_usage_error, "a counter below 0 is an error")
    end subroutine

    subroutine check_other_communicators()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64), allocatable :: mean(:)

        call norm%create(channels, alone, kind=real64)
        call norm%change_communicator(comm)
        call norm%forward(x, z, saved)
        call check_close([z], expected%z, tolerance, "synchronized after all")
        call norm%change_communicator(comm, replicas=ranks, group=1)
        call norm%forward(x, z, saved)
        if (n > 0) then
            call saved%read(mean=mean)
            call check_close(mean, sum(x, 2) / n, tolerance, "groups of one replica: the rank's own mean")
        end if
    end subroutine

    subroutine check_pooled_averages()
        type(batch_norm) :: norm
        type(batch_moments) :: saved
        real(real64), pointer :: mean(:), variance(:)

        ! Averages of this rank's values alone, biased, weighed by how many they are: those of all.
        call norm%create(channels, alone, kind=real64, momentum=1._real64)
        call norm%forward(x, z, saved)
        call norm%get_running_mean(mean)
        call norm%get_running_var(variance)
        if (n > 1) variance = variance * (n - 1) / n
        if (n == 1) variance = 0
        call norm%synchronize_running_averages(comm, weight=real(n, real64))
        call check_close(mean, expected%mean, tolerance, "pooled mean")
        call check_close(variance, expected%variance, tolerance, "pooled variance")
        mean = rank
        call norm%synchronize_running_averages(comm)
        call check_close(mean, spread((ranks - 1) / 2._real64, 1, channels), tolerance, "all ranks weigh the same")
    end subroutine

    subroutine check_exact_statistics()
        type(batch_norm) :: norm, local
        type(batch_moments) :: saved
        type(precise_statistics) :: precise
        real(real64), pointer :: mean(:), variance(:)
        real(real64), allocatable :: unbiased(:)
        integer :: stat, i
        character(:), allocatable :: errmsg

        unbiased = expected%variance * 3 * expected%count / (3 * expected%count - 1)
        call norm%create(channels, comm, kind=real64)
        call precise%create(norm)
        do i = 1, 3
            call norm%forward(x, z, saved)
            call precise%add()
        end do
        call precise%finish(least_batches=4, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "3")
        call precise%finish(least_batches=3)
        call norm%get_running_mean(mean)
        call norm%get_running_var(variance)
        call check_close(mean, expected%mean, tolerance, "mean of three batches")
        call check_close(variance, unbiased, tolerance, "variance of three batches")

        call local%create(channels, alone, kind=real64)
        call precise%create(local)
        do i = 1, 3
            call local%forward(x, z, saved)
            call precise%add()
        end do
        call precise%finish(among=comm)
        call local%get_running_mean(mean)
        call local%get_running_var(variance)
        call check_close(mean, expected%mean, tolerance, "mean of three batches of a local layer")
        call check_close(variance, unbiased, tolerance, "variance of three batches of a local layer")
    end subroutine

    !> All ranks get an error if one asks for something else, or for what there is not.
    subroutine check_disagreement()
        type(batch_norm) :: norm
        type(communicator) :: other
        integer :: stat
        character(:), allocatable :: errmsg

        if (ranks == 1) return
        call other%create_world(timeout_seconds=60._real64)
        call norm%create(channels, other, kind=real64, momentum=merge(0.1_real64, 0.9_real64, rank > 0), stat=stat, &
            errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_communication_error, "momentum: 0.9 on rank 0; 0.1 on rank 1")
        call other%create_world(timeout_seconds=60._real64)
        call norm%create(channels, other, kind=merge(real64, 1, rank > 0), stat=stat, errmsg=errmsg)
        if (rank == 0) then
            call check_error(stat, errmsg, stat, "batch_norm%create: the kind must be real32 or real64")
        else
            call check_error(stat, errmsg, lockstep_communication_error, "rank 0")
        end if
    end subroutine
end program
