!> What the Fortran tests share: checks that are counted on all ranks, and this rank's share of a batch.
module checks
    use, intrinsic :: iso_fortran_env, only: error_unit, int64, real32, real64
    use mpi
    implicit none
    private
    public :: begin, check, check_close, check_error, finish, same_bits, samples_of

    interface check_close
        procedure check_close_real32, check_close_real64
    end interface
    interface same_bits
        procedure same_bits_real32, same_bits_real64
    end interface

    integer, public, protected :: rank = -1, ranks = 0
    integer :: failures = 0

contains

    !> Starts MPI. The first argument of the program is how many ranks there are to be: with another MPI's mpirun each
    !> process would be alone.
    subroutine begin()
        character(10) :: argument
        integer :: expected, error

        call MPI_Init(error)
        call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
        call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
        call get_command_argument(1, argument)
        read (argument, *) expected
        call check(ranks == expected, "as many ranks as were asked for")
    end subroutine

    subroutine check(holds, what)
        logical, intent(in) :: holds
        character(*), intent(in) :: what

        if (holds) return
        failures = failures + 1
        write (error_unit, "(a, i0, 2a)") "rank ", rank, ": failed: ", what
    end subroutine

    !> As numbers: a NaN is close to nothing.
    subroutine check_close_real64(values, expected, tolerance, what)
        real(real64), intent(in) :: values(:), expected(:), tolerance
        character(*), intent(in) :: what
        integer :: i

        call check(size(values) == size(expected), what // ": the number of values")
        do i = 1, min(size(values), size(expected))
            if (abs(values(i) - expected(i)) <= tolerance * max(1._real64, abs(expected(i)))) cycle
            call check(.false., what)
            write (error_unit, *) "    value", i, "is", values(i), "and should be", expected(i)
            return
        end do
    end subroutine

    subroutine check_close_real32(values, expected, tolerance, what)
        real(real32), intent(in) :: values(:)
        real(real64), intent(in) :: expected(:), tolerance
        character(*), intent(in) :: what

        call check_close(real(values, real64), expected, tolerance, what)
    end subroutine

    !> An error of this code, with these words.
    subroutine check_error(stat, errmsg, code, words)
        integer, intent(in) :: stat, code
        character(:), allocatable, intent(inout) :: errmsg
        character(*), intent(in) :: words

        if (.not. allocated(errmsg)) errmsg = "(no message)"
        call check(stat == code, "the code of the error with the words: " // words)
        call check(index(errmsg, words) > 0, "the words '" // words // "' in: " // errmsg)
        deallocate (errmsg)
    end subroutine

    logical function same_bits_real64(a, b)
        real(real64), intent(in) :: a(:), b(:)

        same_bits_real64 = size(a) == size(b)
        if (same_bits_real64) same_bits_real64 = all(transfer(a, [0_int64]) == transfer(b, [0_int64]))
    end function

    logical function same_bits_real32(a, b)
        real(real32), intent(in) :: a(:), b(:)

        same_bits_real32 = size(a) == size(b)
        if (same_bits_real32) same_bits_real32 = all(transfer(a, [0]) == transfer(b, [0]))
    end function

    !> How many samples a rank has: uneven, and none on the second.
    integer function samples_of(a_rank)
        integer, intent(in) :: a_rank
        integer, parameter :: samples(0:4) = [3, 0, 5, 1, 2]

        samples_of = samples(mod(a_rank, 5))
    end function

    !> Ends MPI, and the program with an error if any check failed on any rank.
    subroutine finish()
        integer :: error, all_failures

        call MPI_Allreduce(failures, all_failures, 1, MPI_INTEGER, MPI_SUM, MPI_COMM_WORLD, error)
        call MPI_Finalize(error)
        if (all_failures > 0) error stop 1
    end subroutine
end module
