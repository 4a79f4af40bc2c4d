! What of lockstep.h this program needs, for Fortran. Copy and extend: each interface repeats a line of the header.
! An array x(channels, samples) is what the library calls channels last.
module lockstep
    use iso_c_binding
    implicit none

    integer(c_int), parameter :: lockstep_ok = 0, lockstep_float = 1, lockstep_double = 2
    integer(c_int), parameter :: lockstep_gamma = 0, lockstep_beta = 1, lockstep_running_mean = 2, &
        lockstep_running_var = 3, lockstep_gamma_gradient = 4, lockstep_beta_gradient = 5

    type, bind(c) :: lockstep_shape
        integer(c_int64_t) :: batch = 0
        integer(c_int64_t) :: spatial = 1
        integer(c_int32_t) :: channel_order = 0
    end type

    interface
        function lockstep_message() bind(c)
            import :: c_ptr
            type(c_ptr) :: lockstep_message
        end function

        integer(c_int) function lockstep_communicator_create_fortran(parent, timeout_seconds, communicator) bind(c)
            import :: c_int, c_double, c_ptr
            integer(c_int), value :: parent
            real(c_double), value :: timeout_seconds
            type(c_ptr), intent(out) :: communicator
        end function

        subroutine lockstep_communicator_free(communicator) bind(c)
            import :: c_ptr
            type(c_ptr), value :: communicator
        end subroutine

        ! options: c_null_ptr for the defaults
        integer(c_int) function lockstep_batch_norm_create(value_type, channels, communicator, options, layer) bind(c)
            import :: c_int, c_int64_t, c_ptr
            integer(c_int), value :: value_type
            integer(c_int64_t), value :: channels
            type(c_ptr), value :: communicator, options
            type(c_ptr), intent(out) :: layer
        end function

        subroutine lockstep_batch_norm_free(layer) bind(c)
            import :: c_ptr
            type(c_ptr), value :: layer
        end subroutine

        integer(c_int) function lockstep_moments_create(moments) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), intent(out) :: moments
        end function

        subroutine lockstep_moments_free(moments) bind(c)
            import :: c_ptr
            type(c_ptr), value :: moments
        end subroutine

        integer(c_int) function lockstep_batch_norm_forward(layer, x, z, shape, saved) bind(c)
            import :: c_int, c_ptr, c_double, lockstep_shape
            type(c_ptr), value :: layer, saved
            real(c_double), intent(in) :: x(*)
            real(c_double), intent(out) :: z(*)
            type(lockstep_shape), value :: shape
        end function

        integer(c_int) function lockstep_batch_norm_backward(layer, x, dz, dx, shape, saved) bind(c)
            import :: c_int, c_ptr, c_double, lockstep_shape
            type(c_ptr), value :: layer, saved
            real(c_double), intent(in) :: x(*), dz(*)
            real(c_double), intent(out) :: dx(*)
            type(lockstep_shape), value :: shape
        end function

        integer(c_int) function lockstep_batch_norm_values(layer, which, values, n) bind(c)
            import :: c_int, c_int64_t, c_ptr
            type(c_ptr), value :: layer
            integer(c_int), value :: which
            type(c_ptr), intent(out) :: values
            integer(c_int64_t), intent(out) :: n
        end function
    end interface
end module
