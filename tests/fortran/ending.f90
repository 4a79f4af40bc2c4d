! Rank 1 makes a mistake in a call without stat, which ends the program; the other ranks wait for it in the same call, and
! write to files named FOLDER/rank.N what they are told. See check_ending.
program ending
    use, intrinsic :: iso_c_binding, only: c_funptr, c_int, c_intptr_t
    use, intrinsic :: iso_fortran_env, only: real64
    use mpi
    use lockstep
    implicit none

    interface
        type(c_funptr) function signal(number, action) bind(c)
            import
            integer(c_int), value :: number
            type(c_funptr), value :: action
        end function
    end interface

    integer(c_int), parameter :: sigterm = 15
    integer(c_intptr_t), parameter :: ignore = 1
    type(communicator) :: comm
    type(batch_norm) :: norm
    type(batch_moments) :: saved
    type(c_funptr) :: before
    real(real64) :: x(2, 3), z(2, 4)
    integer :: error, stat, unit
    character(:), allocatable :: errmsg
    character(300) :: folder
    character(10) :: number

    ! mpirun ends the others as soon as rank 1 has ended: they are to have the time to say what they were told.
    before = signal(sigterm, transfer(ignore, before))
    call get_command_argument(1, folder)
    call MPI_Init(error)
    call comm%create(MPI_COMM_WORLD, timeout_seconds=50._real64)
    call norm%create(2, comm, kind=real64, name="input")
    x = 1
    if (comm%rank() == 1) then
        call norm%forward(x, z, saved)
    else
        call norm%forward(x, z(:, :3), saved, stat=stat, errmsg=errmsg)
        write (number, "(i0)") comm%rank()
        open (newunit=unit, file=trim(folder) // "/rank." // trim(number), action="write")
        write (unit, "(i0, 2a)") stat, " ", errmsg
        close (unit)
    end if
    call MPI_Finalize(error)
end program
