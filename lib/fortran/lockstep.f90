!> Lockstep for Fortran: batch normalization over the values of all ranks of an MPI communicator.
!>
!>     use lockstep
!>     type(communicator) :: comm
!>     type(batch_norm) :: norm
!>     type(batch_moments) :: saved
!>
!>     call comm%create(MPI_COMM_WORLD, timeout_seconds=60._real64)
!>     call norm%create(channels, comm, kind=real32, name="input")
!>     call norm%forward(x, z, saved)          ! x(channels, samples): this rank's share; all ranks call
!>     call norm%backward(x, dz, dx, saved)
!>     call norm%infer(x, z)                   ! evaluation: communicates nothing
!>
!> Every procedure ends with the optional arguments stat and errmsg, as those of allocate: without stat an error prints
!> its message and ends the program, and tells the other ranks before. docs/embed.md is the guide.
module lockstep
    use, intrinsic :: iso_fortran_env, only: real32, real64
    use lockstep_batch_norm, only: batch_norm
    use lockstep_c, only: lockstep_usage_error_code => lockstep_usage_error, &
        lockstep_communication_error_code => lockstep_communication_error, &
        lockstep_other_error_code => lockstep_other_error, lockstep_activation_none, lockstep_activation_relu, c_version
    use lockstep_communicator, only: communicator, lockstep_mpi_library, session
    use lockstep_moments, only: batch_moments
    use lockstep_slices, only: backward_slice, forward_slice
    use lockstep_statistics, only: precise_statistics
    use lockstep_text, only: from_c
    use lockstep_threads, only: executor, executor_task, thread_pool
    implicit none
    private
    public :: batch_norm, batch_moments, communicator, precise_statistics, session, forward_slice, backward_slice
    public :: executor, executor_task, thread_pool
    public :: lockstep_version, lockstep_mpi_library
    public :: real32, real64

    !> Values of stat besides 0.
    integer, parameter, public :: lockstep_usage_error = lockstep_usage_error_code  !< an argument that makes no sense
    integer, parameter, public :: lockstep_communication_error = lockstep_communication_error_code  !< ranks that
        !< disagree, a rank that does not come, or MPI failed
    integer, parameter, public :: lockstep_other_error = lockstep_other_error_code  !< out of memory, for instance

    !> What a layer applies to a normalized value.
    integer, parameter, public :: activation_none = lockstep_activation_none, activation_relu = lockstep_activation_relu

contains

    function lockstep_version() result(version)
        character(:), allocatable :: version

        version = from_c(c_version())
    end function
end module
