!> The batch norm layer but for its passes: creation, settings, counters.
module lockstep_layer
    use, intrinsic :: iso_c_binding, only: c_char, c_int, c_int32_t, c_int64_t, c_loc, c_null_ptr, c_ptr, c_sizeof
    use, intrinsic :: iso_fortran_env, only: int64, real32, real64
    use lockstep_c
    use lockstep_communicator, only: communicator
    use lockstep_handle, only: c_object, call_outcome, conclude, give_up, handle, outcome_of, own_created, &
        tell_of_failures
    use lockstep_text, only: from_c, to_c
    implicit none
    private
    public :: kind_of, channels_of, rank_of, error_prefix

    type, extends(handle), public :: layer
        private
        integer :: real_kind = 0
        integer(int64) :: channel_count = 0
        integer :: rank = -1
    contains
        procedure :: create => create_layer
        procedure :: free => free_layer
        procedure :: channels
        procedure :: replicas
        procedure :: groups
        procedure :: name
        procedure :: set_epsilon
        procedure :: set_momentum
        procedure :: set_cumulative
        procedure :: set_frozen
        procedure :: zero_gradients
        procedure :: get_batches_tracked
        procedure :: set_batches_tracked
        procedure :: change_communicator
        procedure :: synchronize_running_averages
        procedure :: announce_failure
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
            self%rank = comm%rank()
            call tell_of_failures(self, lockstep_batch_norm_announce_failure, object, self%rank)
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

        call lockstep_batch_norm_free(give_up(self))
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

    ! --- settings: collective over the layer's communicator, and not while a pass is under way ---

    subroutine set_epsilon(self, epsilon, stat, errmsg)
        class(layer), intent(inout) :: self
        real(real64), intent(in) :: epsilon
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_epsilon(c_object(self), epsilon))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine set_momentum(self, momentum, stat, errmsg)
        class(layer), intent(inout) :: self
        real(real64), intent(in) :: momentum
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_momentum(c_object(self), momentum, 0_c_int))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> From now on the running averages are plain averages of all batches.
    subroutine set_cumulative(self, stat, errmsg)
        class(layer), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_momentum(c_object(self), 0._real64, 1_c_int))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Frozen, forward normalizes with the running averages and leaves them alone; passes exchange nothing.
    subroutine set_frozen(self, frozen, stat, errmsg)
        class(layer), intent(inout) :: self
        logical, intent(in) :: frozen
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_frozen(c_object(self), merge(1_c_int, 0_c_int, frozen)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Normalizes over another communicator from now on; collective over that. Moments saved before are of no use after.
    subroutine change_communicator(self, comm, replicas, group, stat, errmsg)
        class(layer), intent(inout) :: self
        class(communicator), intent(in) :: comm
        integer, intent(in), optional :: replicas, group  !< as in create
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int32_t) :: its_replicas, its_group
        integer(c_int) :: code

        its_replicas = 0
        if (present(replicas)) its_replicas = int(replicas, c_int32_t)
        its_group = 0
        if (present(group)) its_group = int(group, c_int32_t)
        code = lockstep_batch_norm_change_communicator(c_object(self), c_object(comm), its_replicas, its_group)
        if (code == lockstep_ok) then
            self%rank = comm%rank()
            call tell_of_failures(self, lockstep_batch_norm_announce_failure, c_object(self), self%rank)
        end if
        outcome = outcome_of(self, code, comm)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    ! --- gradients and counters ---

    subroutine zero_gradients(self, stat, errmsg)
        class(layer), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_zero_gradients(c_object(self)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> How many batches the running mean has seen, and how many the running variance (a batch of one value has none).
    subroutine get_batches_tracked(self, batches, with_variance, stat, errmsg)
        class(layer), intent(in) :: self
        integer(int64), intent(out) :: batches
        integer(int64), intent(out), optional :: with_variance
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int64_t) :: those_with_variance
        integer(c_int) :: code

        code = lockstep_batch_norm_batches_tracked(c_object(self), batches, those_with_variance)
        if (present(with_variance) .and. code == lockstep_ok) with_variance = those_with_variance
        outcome = outcome_of(self, code)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> For a layer that is loaded. Without `with_variance` all batches had one.
    subroutine set_batches_tracked(self, batches, with_variance, stat, errmsg)
        class(layer), intent(inout) :: self
        integer(int64), intent(in) :: batches
        integer(int64), intent(in), optional :: with_variance
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        integer(c_int64_t) :: those_with_variance

        those_with_variance = batches
        if (present(with_variance)) those_with_variance = with_variance
        outcome = outcome_of(self, lockstep_batch_norm_set_batches_tracked(c_object(self), batches, &
            those_with_variance))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> For layers that are local to each rank of `among`: gives all of them the running averages pooled, each with its
    !> weight (1). Collective over `among`.
    subroutine synchronize_running_averages(self, among, weight, stat, errmsg)
        class(layer), intent(inout) :: self
        class(communicator), intent(in) :: among
        real(real64), intent(in), optional :: weight
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome
        real(real64) :: its_weight

        its_weight = 1
        if (present(weight)) its_weight = weight
        outcome = outcome_of(self, lockstep_batch_norm_synchronize_running_averages(c_object(self), c_object(among), &
            its_weight), among)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> As communicator%announce_failure, to the ranks of the layer's communicator.
    subroutine announce_failure(self, why, stat, errmsg)
        class(layer), intent(in) :: self
        character(*), intent(in) :: why
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_announce_failure(c_object(self), to_c(why)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine
end module
