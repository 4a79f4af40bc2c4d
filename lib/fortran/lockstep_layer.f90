!> The batch norm layer: its creation, what it is, and the threads that it uses.
module lockstep_layer
    use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_int, c_int32_t, c_int64_t, c_loc, c_null_ptr, &
        c_ptr, c_sizeof
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use lockstep_c
    use lockstep_communicator, only: communicator
    use lockstep_handle, only: c_object, call_outcome, conclude, give_up, handle, outcome_of, own_created, &
        tell_of_failures
    use lockstep_text, only: from_c, to_c
    use lockstep_threads, only: c_executor, executor, executor_box, thread_pool
    implicit none
    private
    public :: kind_of, channels_of, rank_of, set_rank, error_prefix

    type, extends(handle), public :: layer
        private
        integer :: real_kind = 0
        integer(int64) :: channel_count = 0
        integer :: rank = -1
        type(executor_box), pointer :: box => null()  ! of the program's own executor
    contains
        procedure :: create => create_layer
        procedure :: free => free_layer
        procedure :: channels
        procedure :: replicas
        procedure :: groups
        procedure :: name
        !> (pool, stat, errmsg) or (executor, stat, errmsg)
        generic :: set_executor => set_pool, set_own_executor
        procedure :: unset_executor
        procedure, private :: set_pool, set_own_executor
        procedure, nopass :: type_name
        final :: finish_layer
    end type

contains

    !> A layer of `channels` channels for arrays of real(kind), real32 or real64. Collective over `comm`, which may be
    !> freed before the layer: the ranks compare all arguments, and all get an error that names what differs.
    subroutine create_layer(self, channels, comm, kind, epsilon, momentum, cumulative, affine, track_running_averages, &
        frozen, activation, replicas, group, name, stat, errmsg)
        class(layer), intent(inout) :: self
        integer, intent(in) :: channels
        class(communicator), intent(in) :: comm
        integer, intent(in) :: kind
        real(real64), intent(in), optional :: epsilon  !< 1e-5
        real(real64), intent(in), optional :: momentum  !< weight of the newest batch in the running averages; 0.1
        logical, intent(in), optional :: cumulative  !< plain averages in place of running ones; false
        logical, intent(in), optional :: affine  !< gamma and beta are learned; true
        logical, intent(in), optional :: track_running_averages  !< without them infer is an error; true
        logical, intent(in), optional :: frozen  !< see set_frozen; false
        integer, intent(in), optional :: activation  !< activation_none or activation_relu
        integer, intent(in), optional :: replicas  !< how many there are, in contiguous blocks; one on each rank
        integer, intent(in), optional :: group  !< how many neighbouring replicas share their statistics; all
        character(*), intent(in), optional :: name  !< in errors, the same on every rank; "layer N"
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(lockstep_batch_norm_options) :: options
        character(kind=c_char), allocatable, target :: c_name(:)
        type(c_ptr) :: object
        integer(c_int) :: code

        call self%free()
        code = lockstep_batch_norm_default_options(options, int(c_sizeof(options), c_int64_t))
        if (present(epsilon)) options%epsilon = epsilon
        if (present(momentum)) options%momentum = momentum
        call choose(options%cumulative, cumulative)
        call choose(options%affine, affine)
        call choose(options%track_running_averages, track_running_averages)
        call choose(options%frozen, frozen)
        if (present(activation)) options%activation = int(activation, c_int32_t)
        if (present(replicas)) options%replicas = int(replicas, c_int32_t)
        if (present(group)) options%group = int(group, c_int32_t)
        if (present(name)) then
            c_name = to_c(name)
            options%name = c_loc(c_name)
        end if
        ! What is wrong with the arguments is not looked for here: the library tells all ranks.
        if (code == lockstep_ok) code = lockstep_batch_norm_create(type_of(kind), int(channels, c_int64_t), &
            c_object(comm), options, object)
        call own_created(self, code, object, outcome, comm)
        if (code /= lockstep_ok .and. type_of(kind) == 0) &
            outcome%message = "batch_norm%create: the kind must be real32 or real64"
        if (code == lockstep_ok) then
            self%real_kind = kind
            self%channel_count = channels
            call set_rank(self, comm%rank())
        end if
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine choose(option, choice)
        integer(c_int32_t), intent(inout) :: option
        logical, intent(in), optional :: choice

        if (present(choice)) option = merge(1_c_int32_t, 0_c_int32_t, choice)
    end subroutine

    !> The library's number of a kind; 0, which is an error there, for any other.
    integer(c_int) function type_of(kind)
        integer, intent(in) :: kind

        select case (kind)
        case (real32)
            type_of = lockstep_float
        case (real64)
            type_of = lockstep_double
        case default
            type_of = 0
        end select
    end function

    !> Also without a call, when the layer goes out of scope. Not collective.
    subroutine free_layer(self)
        class(layer), intent(inout) :: self

        if (c_associated(c_object(self))) then
            call lockstep_batch_norm_free(give_up(self))
            call replace_box(self)
        end if
    end subroutine

    impure elemental subroutine finish_layer(self)
        type(layer), intent(inout) :: self

        call self%free()
    end subroutine

    ! --- what it is ---

    integer function channels(self, stat, errmsg)
        class(layer), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        call describe(self, outcome, channels=channels)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end function

    !> How many replicas live on this rank: forward_slices and backward_slices want one slice for each.
    integer function replicas(self, stat, errmsg)
        class(layer), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        call describe(self, outcome, replicas=replicas)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end function

    !> How many statistics groups this rank takes part in.
    integer function groups(self, stat, errmsg)
        class(layer), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        call describe(self, outcome, groups=groups)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end function

    !> As errors call it.
    function name(self, stat, errmsg)
        class(layer), intent(in) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        character(:), allocatable :: name
        type(call_outcome) :: outcome

        call describe(self, outcome, name=name)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end function

    subroutine describe(self, outcome, channels, replicas, groups, name)
        class(layer), intent(in) :: self
        type(call_outcome), intent(out) :: outcome
        integer, intent(out), optional :: channels, replicas, groups
        character(:), allocatable, intent(out), optional :: name
        integer(c_int32_t) :: value_type, its_replicas, its_groups
        integer(c_int64_t) :: its_channels
        type(c_ptr) :: its_name

        its_channels = 0
        its_replicas = 0
        its_groups = 0
        its_name = c_null_ptr
        outcome = outcome_of(self, &
            lockstep_batch_norm_describe(c_object(self), value_type, its_channels, its_replicas, its_groups, its_name))
        if (present(channels)) channels = int(its_channels)
        if (present(replicas)) replicas = int(its_replicas)
        if (present(groups)) groups = int(its_groups)
        if (present(name)) name = from_c(its_name)
    end subroutine

    !> For the other modules: what arrays must be of, where this is, and how an error about a pass begins.
    integer function kind_of(self)
        class(layer), intent(in) :: self

        kind_of = self%real_kind
    end function

    integer(int64) function channels_of(self)
        class(layer), intent(in) :: self

        channels_of = self%channel_count
    end function

    integer function rank_of(self)
        class(layer), intent(in) :: self

        rank_of = self%rank
    end function

    !> The rank in its communicator, whom it tells of failures from now on.
    subroutine set_rank(self, rank)
        class(layer), intent(inout) :: self
        integer, intent(in) :: rank

        self%rank = rank
        call tell_of_failures(self, lockstep_batch_norm_announce_failure, c_object(self), rank)
    end subroutine

    function error_prefix(self, what) result(prefix)
        class(layer), intent(in) :: self
        character(*), intent(in) :: what
        character(:), allocatable :: prefix
        integer :: ignored

        prefix = "batch norm '" // self%name(ignored) // "' " // what // ": "
    end function

    function type_name()
        character(:), allocatable :: type_name

        type_name = "batch_norm"
    end function

    ! --- threads ---

    !> Spreads the layer's work over a pool of threads, with the same bits. Not while a pass is under way, and not
    !> collective.
    subroutine set_pool(self, pool, stat, errmsg)
        class(layer), intent(inout) :: self
        class(thread_pool), intent(in) :: pool
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(lockstep_executor) :: chosen
        integer(c_int) :: code

        code = lockstep_thread_pool_executor(c_object(pool), chosen)
        if (code == lockstep_ok) code = lockstep_batch_norm_set_executor(c_object(self), chosen)
        outcome = outcome_of(self, code, pool)
        if (outcome%code == 0) call replace_box(self)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> The same over the program's own threads. The executor outlives the layer, or its unset_executor.
    subroutine set_own_executor(self, own, stat, errmsg)
        class(layer), intent(inout) :: self
        class(executor), intent(inout), target :: own
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        type(executor_box), pointer :: box

        allocate (box)
        box%executor => own
        outcome = outcome_of(self, lockstep_batch_norm_set_executor(c_object(self), c_executor(box)))
        if (outcome%code == 0) then
            call replace_box(self, box)
        else
            deallocate (box)
        end if
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> From now on the calling thread works alone.
    subroutine unset_executor(self, stat, errmsg)
        class(layer), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_executor(c_object(self)))
        if (outcome%code == 0) call replace_box(self)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine replace_box(self, box)
        class(layer), intent(inout) :: self
        type(executor_box), pointer, intent(in), optional :: box

        if (associated(self%box)) deallocate (self%box)
        self%box => null()
        if (present(box)) self%box => box
    end subroutine
end module
