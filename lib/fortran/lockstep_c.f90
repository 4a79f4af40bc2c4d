!> The functions of lockstep/lockstep.h, one interface for each of its lines, and what they take. For the other modules
!> of this folder: programs use the module lockstep. What a function does is said in the header.
module lockstep_c
    use, intrinsic :: iso_c_binding, only: c_char, c_double, c_funptr, c_int, c_int32_t, c_int64_t, c_ptr, c_null_ptr
    implicit none
    public

    enum, bind(c)
        enumerator :: lockstep_ok = 0, lockstep_usage_error = 1, lockstep_communication_error = 2, &
            lockstep_other_error = 3
    end enum
    enum, bind(c)
        enumerator :: lockstep_float = 1, lockstep_double = 2
    end enum
    enum, bind(c)
        enumerator :: lockstep_channels_last = 0, lockstep_channels_first = 1
    end enum
    enum, bind(c)
        enumerator :: lockstep_activation_none = 0, lockstep_activation_relu = 1
    end enum
    enum, bind(c)
        enumerator :: lockstep_gamma = 0, lockstep_beta = 1, lockstep_running_mean = 2, lockstep_running_var = 3, &
            lockstep_gamma_gradient = 4, lockstep_beta_gradient = 5
    end enum

    type, bind(c) :: lockstep_shape
        integer(c_int64_t) :: batch = 0
        integer(c_int64_t) :: spatial = 1
        integer(c_int32_t) :: channel_order = lockstep_channels_last
    end type

    type, bind(c) :: lockstep_batch_norm_options
        integer(c_int64_t) :: size = 0
        real(c_double) :: epsilon = 0
        real(c_double) :: momentum = 0
        integer(c_int32_t) :: cumulative = 0
        integer(c_int32_t) :: affine = 0
        integer(c_int32_t) :: track_running_averages = 0
        integer(c_int32_t) :: frozen = 0
        integer(c_int32_t) :: activation = 0
        integer(c_int32_t) :: replicas = 0
        integer(c_int32_t) :: group = 0
        integer(c_int32_t) :: reserved = 0
        type(c_ptr) :: name = c_null_ptr
    end type

    type, bind(c) :: lockstep_forward_slice
        type(c_ptr) :: x = c_null_ptr
        type(c_ptr) :: z = c_null_ptr
        type(lockstep_shape) :: shape
    end type

    type, bind(c) :: lockstep_backward_slice
        type(c_ptr) :: x = c_null_ptr
        type(c_ptr) :: dz = c_null_ptr
        type(c_ptr) :: dx = c_null_ptr
        type(lockstep_shape) :: shape
        type(c_ptr) :: gamma_gradient = c_null_ptr
        type(c_ptr) :: beta_gradient = c_null_ptr
    end type

    type, bind(c) :: lockstep_executor
        type(c_ptr) :: context = c_null_ptr
        type(c_funptr) :: threads
        type(c_funptr) :: run
    end type

    ! --- the library, sessions, communicators ---
    interface
        ! These two by names of their own: the module has functions of the others.
        type(c_ptr) function c_version() bind(c, name="lockstep_version")
            import
        end function

        type(c_ptr) function c_mpi_library() bind(c, name="lockstep_mpi_library")
            import
        end function

        type(c_ptr) function lockstep_message() bind(c)
            import
        end function

        integer(c_int) function lockstep_session_create(session) bind(c)
            import
            type(c_ptr), intent(out) :: session
        end function

        subroutine lockstep_session_free(session) bind(c)
            import
            type(c_ptr), value :: session
        end subroutine

        integer(c_int) function lockstep_communicator_create_fortran(parent, timeout_seconds, communicator) bind(c)
            import
            integer(c_int32_t), value :: parent
            real(c_double), value :: timeout_seconds
            type(c_ptr), intent(out) :: communicator
        end function

        integer(c_int) function lockstep_communicator_create_world(timeout_seconds, communicator) bind(c)
            import
            real(c_double), value :: timeout_seconds
            type(c_ptr), intent(out) :: communicator
        end function

        integer(c_int) function lockstep_communicator_create_self(communicator) bind(c)
            import
            type(c_ptr), intent(out) :: communicator
        end function

        subroutine lockstep_communicator_free(communicator) bind(c)
            import
            type(c_ptr), value :: communicator
        end subroutine

        integer(c_int) function lockstep_communicator_rank(communicator, rank) bind(c)
            import
            type(c_ptr), value :: communicator
            integer(c_int32_t), intent(out) :: rank
        end function

        integer(c_int) function lockstep_communicator_size(communicator, size) bind(c)
            import
            type(c_ptr), value :: communicator
            integer(c_int32_t), intent(out) :: size
        end function

        integer(c_int) function lockstep_communicator_split(communicator, color, key, part) bind(c)
            import
            type(c_ptr), value :: communicator
            integer(c_int32_t), value :: color, key
            type(c_ptr), intent(out) :: part
        end function

        integer(c_int) function lockstep_communicator_check_agreement(communicator, what, key, text) bind(c)
            import
            type(c_ptr), value :: communicator
            character(kind=c_char), intent(in) :: what(*), key(*), text(*)
        end function

        integer(c_int) function lockstep_communicator_announce_failure(communicator, why) bind(c)
            import
            type(c_ptr), value :: communicator
            character(kind=c_char), intent(in) :: why(*)
        end function
    end interface

    ! --- layers and moments ---
    interface
        integer(c_int) function lockstep_batch_norm_default_options(options, size) bind(c)
            import
            type(lockstep_batch_norm_options), intent(inout) :: options
            integer(c_int64_t), value :: size
        end function

        integer(c_int) function lockstep_batch_norm_create(value_type, channels, communicator, options, layer) bind(c)
            import
            integer(c_int), value :: value_type
            integer(c_int64_t), value :: channels
            type(c_ptr), value :: communicator
            type(lockstep_batch_norm_options), intent(in) :: options
            type(c_ptr), intent(out) :: layer
        end function

        subroutine lockstep_batch_norm_free(layer) bind(c)
            import
            type(c_ptr), value :: layer
        end subroutine

        integer(c_int) function lockstep_moments_create(moments) bind(c)
            import
            type(c_ptr), intent(out) :: moments
        end function

        subroutine lockstep_moments_free(moments) bind(c)
            import
            type(c_ptr), value :: moments
        end subroutine

        integer(c_int) function lockstep_moments_read(moments, group, count, mean, variance, channels) bind(c)
            import
            type(c_ptr), value :: moments
            integer(c_int32_t), value :: group
            real(c_double), intent(out) :: count
            type(c_ptr), intent(out) :: mean, variance
            integer(c_int64_t), intent(out) :: channels
        end function

        integer(c_int) function lockstep_batch_norm_describe(layer, value_type, channels, replicas, groups, name) &
            bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int32_t), intent(out) :: value_type
            integer(c_int64_t), intent(out) :: channels
            integer(c_int32_t), intent(out) :: replicas, groups
            type(c_ptr), intent(out) :: name
        end function

        integer(c_int) function lockstep_batch_norm_values(layer, which, values, count) bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int), value :: which
            type(c_ptr), intent(out) :: values
            integer(c_int64_t), intent(out) :: count
        end function

        integer(c_int) function lockstep_batch_norm_bind(layer, gamma, beta, running_mean, running_var) bind(c)
            import
            type(c_ptr), value :: layer, gamma, beta, running_mean, running_var
        end function

        integer(c_int) function lockstep_batch_norm_batches_tracked(layer, batches, with_variance) bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int64_t), intent(out) :: batches, with_variance
        end function

        integer(c_int) function lockstep_batch_norm_set_batches_tracked(layer, batches, with_variance) bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int64_t), value :: batches, with_variance
        end function

        integer(c_int) function lockstep_batch_norm_zero_gradients(layer) bind(c)
            import
            type(c_ptr), value :: layer
        end function

        integer(c_int) function lockstep_batch_norm_set_epsilon(layer, epsilon) bind(c)
            import
            type(c_ptr), value :: layer
            real(c_double), value :: epsilon
        end function

        integer(c_int) function lockstep_batch_norm_set_momentum(layer, momentum, cumulative) bind(c)
            import
            type(c_ptr), value :: layer
            real(c_double), value :: momentum
            integer(c_int), value :: cumulative
        end function

        integer(c_int) function lockstep_batch_norm_set_frozen(layer, frozen) bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int), value :: frozen
        end function

        integer(c_int) function lockstep_batch_norm_change_communicator(layer, communicator, replicas, group) bind(c)
            import
            type(c_ptr), value :: layer, communicator
            integer(c_int32_t), value :: replicas, group
        end function

        integer(c_int) function lockstep_batch_norm_synchronize_running_averages(layer, among, weight) bind(c)
            import
            type(c_ptr), value :: layer, among
            real(c_double), value :: weight
        end function

        integer(c_int) function lockstep_batch_norm_announce_failure(layer, why) bind(c)
            import
            type(c_ptr), value :: layer
            character(kind=c_char), intent(in) :: why(*)
        end function
    end interface

    ! --- passes ---
    interface
        integer(c_int) function lockstep_batch_norm_forward(layer, x, z, shape, saved) bind(c)
            import
            type(c_ptr), value :: layer, x, z
            type(lockstep_shape), value :: shape
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_backward(layer, x, dz, dx, shape, saved) bind(c)
            import
            type(c_ptr), value :: layer, x, dz, dx
            type(lockstep_shape), value :: shape
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_backward_parameters(layer, x, dz, shape, saved) bind(c)
            import
            type(c_ptr), value :: layer, x, dz
            type(lockstep_shape), value :: shape
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_forward_slices(layer, slices, count, saved) bind(c)
            import
            type(c_ptr), value :: layer
            type(lockstep_forward_slice), intent(in) :: slices(*)
            integer(c_int64_t), value :: count
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_backward_slices(layer, slices, count, saved) bind(c)
            import
            type(c_ptr), value :: layer
            type(lockstep_backward_slice), intent(in) :: slices(*)
            integer(c_int64_t), value :: count
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_begin_forward(layer, x, z, shape, saved) bind(c)
            import
            type(c_ptr), value :: layer, x, z
            type(lockstep_shape), value :: shape
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_end_forward(layer) bind(c)
            import
            type(c_ptr), value :: layer
        end function

        integer(c_int) function lockstep_batch_norm_begin_backward(layer, x, dz, dx, shape, saved) bind(c)
            import
            type(c_ptr), value :: layer, x, dz, dx
            type(lockstep_shape), value :: shape
            type(c_ptr), value :: saved
        end function

        integer(c_int) function lockstep_batch_norm_end_backward(layer) bind(c)
            import
            type(c_ptr), value :: layer
        end function

        integer(c_int) function lockstep_batch_norm_poll(layer, done) bind(c)
            import
            type(c_ptr), value :: layer
            integer(c_int), intent(out) :: done
        end function

        integer(c_int) function lockstep_batch_norm_infer(layer, x, z, shape) bind(c)
            import
            type(c_ptr), value :: layer, x, z
            type(lockstep_shape), value :: shape
        end function
    end interface

    ! --- precise statistics and threads ---
    interface
        integer(c_int) function lockstep_precise_statistics_create(layer, statistics) bind(c)
            import
            type(c_ptr), value :: layer
            type(c_ptr), intent(out) :: statistics
        end function

        subroutine lockstep_precise_statistics_free(statistics) bind(c)
            import
            type(c_ptr), value :: statistics
        end subroutine

        integer(c_int) function lockstep_precise_statistics_add(statistics) bind(c)
            import
            type(c_ptr), value :: statistics
        end function

        integer(c_int) function lockstep_precise_statistics_finish(statistics, least_batches) bind(c)
            import
            type(c_ptr), value :: statistics
            integer(c_int64_t), value :: least_batches
        end function

        integer(c_int) function lockstep_precise_statistics_finish_among(statistics, among, least_batches) bind(c)
            import
            type(c_ptr), value :: statistics, among
            integer(c_int64_t), value :: least_batches
        end function

        integer(c_int) function lockstep_batch_norm_set_executor(layer, executor) bind(c)
            import
            type(c_ptr), value :: layer
            type(lockstep_executor), intent(in), optional :: executor
        end function

        integer(c_int) function lockstep_thread_pool_create(threads, pool) bind(c)
            import
            integer(c_int32_t), value :: threads
            type(c_ptr), intent(out) :: pool
        end function

        subroutine lockstep_thread_pool_free(pool) bind(c)
            import
            type(c_ptr), value :: pool
        end subroutine

        integer(c_int) function lockstep_thread_pool_executor(pool, executor) bind(c)
            import
            type(c_ptr), value :: pool
            type(lockstep_executor), intent(out) :: executor
        end function
    end interface
end module
