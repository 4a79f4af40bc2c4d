!> Batch normalization by its definition, in real64, over the values of all ranks together: what the library is held
!> against. It takes the values as they lie in memory, and the channel of each.
module reference
    use, intrinsic :: iso_fortran_env, only: real64
    use mpi
    implicit none
    private
    public :: channels_along

    !> Of one batch. z and dx are this rank's, and so are the gradients of gamma and beta.
    type, public :: expectation
        real(real64), allocatable :: count(:), mean(:), variance(:), z(:), dx(:), gamma_gradient(:), beta_gradient(:)
    contains
        procedure :: compute
    end type

contains

    !> The channel of each value of an array with these extents whose dimension `dim` runs over the channels.
    function channels_along(extents, dim) result(channel)
        integer, intent(in) :: extents(:), dim
        integer, allocatable :: channel(:)
        integer :: i, before

        before = product(extents(:dim - 1))
        channel = [(mod((i - 1) / before, extents(dim)) + 1, i = 1, product(extents))]
    end function

    subroutine compute(self, x, dz, channel, gamma, beta, epsilon)
        class(expectation), intent(inout) :: self
        real(real64), intent(in) :: x(:), dz(:), gamma(:), beta(:), epsilon
        integer, intent(in) :: channel(:)
        real(real64), allocatable :: all_x(:), all_dz(:), all_channel_numbers(:), deviation(:), normalized(:), &
            all_normalized(:), dz_sum(:), product_sum(:)
        integer, allocatable :: all_channel(:)
        integer :: c, channels

        channels = size(gamma)
        call gather(x, all_x)
        call gather(dz, all_dz)
        call gather(real(channel, real64), all_channel_numbers)
        all_channel = nint(all_channel_numbers)
        self%count = [(real(count(all_channel == c), real64), c = 1, channels)]
        self%mean = [(sum(all_x, all_channel == c) / self%count(c), c = 1, channels)]
        self%variance = [(sum((all_x - self%mean(c))**2, all_channel == c) / self%count(c), c = 1, channels)]
        deviation = sqrt(self%variance + epsilon)

        normalized = (x - self%mean(channel)) / deviation(channel)
        self%z = gamma(channel) * normalized + beta(channel)

        all_normalized = (all_x - self%mean(all_channel)) / deviation(all_channel)
        dz_sum = [(sum(all_dz, all_channel == c), c = 1, channels)]
        product_sum = [(sum(all_dz * all_normalized, all_channel == c), c = 1, channels)]
        self%dx = gamma(channel) / deviation(channel) * (dz - (dz_sum(channel) + normalized * product_sum(channel)) &
            / self%count(channel))
        self%beta_gradient = [(sum(dz, channel == c), c = 1, channels)]
        self%gamma_gradient = [(sum(dz * normalized, channel == c), c = 1, channels)]
    end subroutine

    subroutine gather(mine, all_values)
        real(real64), intent(in) :: mine(:)
        real(real64), allocatable, intent(out) :: all_values(:)
        integer, allocatable :: counts(:), offsets(:)
        integer :: error

        call measure(size(mine), counts, offsets)
        allocate (all_values(sum(counts)))
        call MPI_Allgatherv(mine, size(mine), MPI_DOUBLE_PRECISION, all_values, counts, offsets, MPI_DOUBLE_PRECISION, &
            MPI_COMM_WORLD, error)
    end subroutine

    subroutine measure(mine, counts, offsets)
        integer, intent(in) :: mine
        integer, allocatable, intent(out) :: counts(:), offsets(:)
        integer :: ranks, error, i

        call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
        allocate (counts(ranks))
        call MPI_Allgather(mine, 1, MPI_INTEGER, counts, 1, MPI_INTEGER, MPI_COMM_WORLD, error)
        offsets = [(sum(counts(:i - 1)), i = 1, ranks)]
    end subroutine
end module
