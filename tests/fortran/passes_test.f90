! Every pass of the Fortran module, over arrays of rank 1 to 5 and both kinds, against the reference: uneven and empty
! shards, in place, in two halves, sections.
module passes_real32
    use, intrinsic :: iso_fortran_env, only: real64, wp => real32
    use checks, only: check, check_close, rank, same_bits, samples_of
    use lockstep, only: batch_moments, batch_norm, communicator
    use reference, only: channels_along, expectation
    implicit none
    private
    public :: check_passes

    include "passes_of_kind.inc"
end module

module passes_real64
    use, intrinsic :: iso_fortran_env, only: real64, wp => real64
    use checks, only: check, check_close, rank, same_bits, samples_of
    use lockstep, only: batch_moments, batch_norm, communicator
    use reference, only: channels_along, expectation
    implicit none
    private
    public :: check_passes

    include "passes_of_kind.inc"
end module

program passes_test
    use, intrinsic :: iso_fortran_env, only: real64
    use mpi, only: MPI_COMM_WORLD
    use checks, only: begin, finish
    use lockstep, only: communicator
    use passes_real32, only: check_passes_real32 => check_passes
    use passes_real64, only: check_passes_real64 => check_passes
    implicit none
    type(communicator) :: comm

    call begin()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call check_passes_real32(comm)
    call check_passes_real64(comm)
    call comm%free()
    call finish()
end program
