!> The batch norm layer: settings that change, counters, averages over ranks.
module lockstep_settings
    use, intrinsic :: iso_c_binding, only: c_int, c_int32_t, c_int64_t
    use, intrinsic :: iso_fortran_env, only: int64, real64
    use lockstep_c
    use lockstep_communicator, only: communicator
    use lockstep_handle, only: c_object, call_outcome, conclude, outcome_of
    use lockstep_layer, only: layer, set_rank
    use lockstep_text, only: to_c
    implicit none
    private

    type, extends(layer), public :: adjustable_layer
    contains
        procedure :: set_epsilon
        procedure :: set_momentum
        procedure :: set_cumulative
        procedure :: set_frozen
        procedure :: change_communicator
        procedure :: zero_gradients
        procedure :: get_batches_tracked
        procedure :: set_batches_tracked
        procedure :: synchronize_running_averages
        procedure :: announce_failure
    end type

contains

    ! --- settings: collective over the layer's communicator, and not while a pass is under way ---

    subroutine set_epsilon(self, epsilon, stat, errmsg)
        class(adjustable_layer), intent(inout) :: self
        real(real64), intent(in) :: epsilon
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_epsilon(c_object(self), epsilon))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    subroutine set_momentum(self, momentum, stat, errmsg)
        class(adjustable_layer), intent(inout) :: self
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
        class(adjustable_layer), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_set_momentum(c_object(self), 0._real64, 1_c_int))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> Frozen, forward normalizes with the running averages and leaves them alone; passes exchange nothing.
    subroutine set_frozen(self, frozen, stat, errmsg)
        class(adjustable_layer), intent(inout) :: self
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
        class(adjustable_layer), intent(inout) :: self
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
        if (code == lockstep_ok) call set_rank(self, comm%rank())
        outcome = outcome_of(self, code, comm)
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    ! --- gradients and counters ---

    subroutine zero_gradients(self, stat, errmsg)
        class(adjustable_layer), intent(inout) :: self
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_zero_gradients(c_object(self)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine

    !> How many batches the running mean has seen, and how many the running variance (a batch of one value has none).
    subroutine get_batches_tracked(self, batches, with_variance, stat, errmsg)
        class(adjustable_layer), intent(in) :: self
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
        class(adjustable_layer), intent(inout) :: self
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
        class(adjustable_layer), intent(inout) :: self
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
        class(adjustable_layer), intent(in) :: self
        character(*), intent(in) :: why
        integer, intent(out), optional :: stat
        character(:), allocatable, intent(inout), optional :: errmsg
        type(call_outcome) :: outcome

        outcome = outcome_of(self, lockstep_batch_norm_announce_failure(c_object(self), to_c(why)))
        if (present(errmsg)) call outcome%tell(errmsg)
        call conclude(self, outcome, stat)
    end subroutine
end module
