! What does not fit a layer or a pass is an error in words, and changes nothing.
program errors_test
    use, intrinsic :: iso_fortran_env, only: real32, real64
    use checks, only: begin, check, check_error, finish, same_bits
    use lockstep
    implicit none

    type(communicator) :: alone
    type(batch_norm) :: norm
    type(batch_moments) :: saved
    real(real64) :: x(2, 3), z(2, 3), dz(2, 3), wide(2, 6)
    integer :: stat
    character(:), allocatable :: errmsg

    call begin()
    call alone%create_self()
    call norm%create(2, alone, kind=real64, name="a")
    x = reshape([1._real64, 2._real64, 3._real64, 4._real64, 5._real64, 6._real64], [2, 3])
    z = 9
    dz = 1
    wide = 9

    call check_extents()
    call check_dimension()
    call check_kinds()
    call check_arrays_of_unknown_size(x, z, dz)
    call check_halves()
    call check_passes_out_of_order()
    call check_options()
    call check_what_is_empty()
    call check_success()
    call alone%free()
    call finish()

contains

    subroutine check_extents()
        real(real64) :: three_channels(3, 3)

        call norm%forward(x, wide, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "batch norm 'a' forward: z has the extents 2 x 6, but x has 2 x 3")
        call norm%forward(x, wide(1, :), saved, dim=1, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "z has the extents 6: extent 1 must be the layer's 2 channels")
        call norm%forward(x, reshape_to_3(), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "z has the extents 2 x 3 x 1, but x has 2 x 3")
        call norm%forward_in_place(three_channels, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "x has the extents 3 x 3: extent 1 must be the layer's 2 channels")
        call norm%infer(x, wide(:, ::3), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "batch norm 'a' infer: z has the extents 2 x 2, but x has 2 x 3")
        call check(same_bits([wide], spread(9._real64, 1, 12)), "an error leaves z alone, and what is around it")
        call norm%backward(x, dz(:, :2), z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "batch norm 'a' backward: dx has the extents 2 x 3, but dz has 2 x 2")
        call norm%backward_parameters(x(:, :2), dz, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "batch norm 'a' backward_parameters: dz has the extents 2 x 3, but x has 2 x 2")
    end subroutine

    function reshape_to_3() result(pointer_to_3)
        real(real64), pointer :: pointer_to_3(:, :, :)
        real(real64), save, target :: values(2, 3, 1) = 0

        pointer_to_3 => values
    end function

    subroutine check_dimension()
        call norm%forward(x, z, saved, dim=3, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "dim is 3, but x has rank 2")
        call norm%forward(x, z, saved, dim=0, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "dim is 0, but x has rank 2")
        call norm%infer_in_place(z(1, 1), stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "x is a scalar, not an array")
    end subroutine

    subroutine check_kinds()
        real(real32) :: single(2, 3)
        real(real32), pointer :: gamma(:)

        single = 0
        call norm%infer_in_place(single, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "x is real(real32), but the layer was created for real(real64)")
        call norm%get_gamma(gamma, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, &
            "the pointer is real(real32), but the layer was created for real(real64)")
        call check(.not. associated(gamma), "a pointer of another kind points to nothing")
    end subroutine

    !> gfortran refuses them itself, unless they come as arrays of any rank.
    subroutine check_arrays_of_unknown_size(sized_x, any_z, any_dz)
        real(real64), intent(inout) :: sized_x(2, 3), any_z(2, *), any_dz(2, *)

        call check_unknown_end(sized_x, any_z, 1, "z")
        call check_unknown_end(any_dz, any_z(:, 1:3), 1, "x")
        call check_unknown_end(any_dz, any_z, 2, "x")
        call check_unknown_end(any_dz, any_z, 1, "z")
    end subroutine

    subroutine check_unknown_end(some_x, some_z, dim, name)
        real(real64), dimension(..), intent(inout), target :: some_x, some_z
        integer, intent(in) :: dim
        character(*), intent(in) :: name

        call norm%forward(some_x, some_z, saved, dim, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, name // " is an assumed-size array")
        call norm%backward_parameters(some_x, some_z, saved, dim, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, " is an assumed-size array")
    end subroutine

    subroutine check_halves()
        call norm%begin_forward(wide(:, ::2), z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "batch norm 'a' begin_forward: x is not contiguous")
        call norm%begin_forward_in_place(wide(:, ::2), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "x is not contiguous")
        call norm%begin_backward(x, dz, wide(:, ::2), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "batch norm 'a' begin_backward: dx is not contiguous")
        call norm%begin_backward_in_place(x, wide(:, ::2), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "dz is not contiguous")
        call norm%end_forward(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "end_forward without begin_forward")
        call norm%end_backward(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "end_backward without begin_backward")
    end subroutine

    subroutine check_passes_out_of_order()
        type(batch_moments) :: none

        call norm%backward(x, dz, z, none, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_moments is empty")
        call norm%forward(x, z, saved)
        call norm%backward(x(:, :2), dz(:, :2), z(:, :2), saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "batch norm 'a'")
    end subroutine

    subroutine check_options()
        type(batch_norm) :: never

        call never%create(0, alone, kind=real64, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, stat, "needs at least one channel")
        call check(stat /= 0, "no channel is an error")
        call never%create(2, alone, kind=8 * real64, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, stat, "the kind must be real32 or real64")
        call never%create(2, alone, kind=real64, activation=7, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, stat, "activation")
        call never%create(2, alone, kind=real64, epsilon=-1._real64, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, stat, "epsilon must be a positive number")
        call never%infer(x, z, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty: it was not created, or was freed")
    end subroutine

    subroutine check_what_is_empty()
        type(communicator) :: no_communicator
        type(batch_norm) :: no_layer
        type(precise_statistics) :: no_statistics
        real(real64), pointer :: gamma(:)
        integer :: ignored

        ignored = no_communicator%rank(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator is empty")
        call no_layer%create(2, no_communicator, kind=real64, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator is empty")
        call no_layer%forward(x, z, saved, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty")
        ignored = no_layer%channels(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty")
        call no_layer%get_gamma(gamma, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty")
        call norm%change_communicator(no_communicator, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator is empty")
        call norm%synchronize_running_averages(no_communicator, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this communicator is empty")
        call no_statistics%create(no_layer, stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this batch_norm is empty")
        call no_statistics%add(stat=stat, errmsg=errmsg)
        call check_error(stat, errmsg, lockstep_usage_error, "this precise_statistics is empty")
    end subroutine

    !> As after an allocate that succeeds.
    subroutine check_success()
        stat = 77
        errmsg = "as it was"
        call norm%infer(x, z, stat=stat, errmsg=errmsg)
        call check(stat == 0, "stat is 0 without an error")
        call check(errmsg == "as it was", "errmsg is left alone without an error")
    end subroutine
end program
