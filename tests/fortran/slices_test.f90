! Several replicas on a rank: slices of both kinds, groups, and what is wrong with a slice.
module slices_real32
    use, intrinsic :: iso_fortran_env, only: real64, wp => real32
    use checks, only: check_close, check_error, rank
    use lockstep, only: backward_slice, batch_moments, batch_norm, communicator, forward_slice, lockstep_usage_error
    use reference, only: channels_along, expectation
    implicit none
    private
    public :: check_slices, check_groups, check_refusals

    include "slices_of_kind.inc"
end module

module slices_real64
    use, intrinsic :: iso_fortran_env, only: real64, wp => real64
    use checks, only: check_close, check_error, rank
    use lockstep, only: backward_slice, batch_moments, batch_norm, communicator, forward_slice, lockstep_usage_error
    use reference, only: channels_along, expectation
    implicit none
    private
    public :: check_slices, check_groups, check_refusals

    include "slices_of_kind.inc"
end module

program slices_test
    use, intrinsic :: iso_fortran_env, only: real64
    use mpi, only: MPI_COMM_WORLD
    use checks, only: begin, finish
    use lockstep, only: communicator
    use slices_real32, only: check_slices_real32 => check_slices, check_groups_real32 => check_groups, &
        check_refusals_real32 => check_refusals
    use slices_real64, only: check_slices_real64 => check_slices, check_groups_real64 => check_groups, &
        check_refusals_real64 => check_refusals
    implicit none
    type(communicator) :: comm

    call begin()
    call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
    call check_slices_real32(comm)
    call check_slices_real64(comm)
    call check_groups_real32(comm)
    call check_groups_real64(comm)
    call check_refusals_real32()
    call check_refusals_real64()
    call comm%free()
    call finish()
end program
