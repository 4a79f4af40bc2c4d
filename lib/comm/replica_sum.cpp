#include <lockstep/comm/replica_sum.hpp>

#include "../simd/elementwise.hpp"
#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

namespace lockstep {
namespace {

/// What MPI sends along at once; for more, the two sides have to meet first. (Of Open MPI over shared memory;
/// other transports have similar limits.)
constexpr Index eager_bytes = 3584;
/// Up to this many bytes from all others one hop less counts for more than the bytes that slices save.
constexpr Index short_form_bytes = 32768;

/// All to all while a message is sent at once; slices where these are small enough for it; else by length.
SumForm chosen_form(ExchangeForm form, Index bytes, Index parties, bool single_nodes) {
    if (form != ExchangeForm::automatic)
        return form == ExchangeForm::short_form ? SumForm::everything : SumForm::slices;
    if (parties == 2 && single_nodes) return SumForm::everything;  // as many bytes, and one hop
    if (parties > 8) return SumForm::slices;                       // messages
    if (bytes <= eager_bytes) return SumForm::everything;
    if (bytes / parties <= eager_bytes) return SumForm::slices;
    return bytes * (parties - 1) > short_form_bytes ? SumForm::slices : SumForm::everything;
}

/// Slices start on a cache line.
constexpr Index slice_alignment = 16;

Index padded(Index values) {
    return (values + slice_alignment - 1) / slice_alignment * slice_alignment;
}

/// The tag of a phase (0: up, 1: down) of a sum. The numbers come round again after so many sums that the earlier
/// ones are gone.
int tag_of(int sum, int phase) {
    return tags::sums.first + (2 * sum + phase) % tags::sums.count;
}

template <class Scalar>
constexpr MPI_Datatype mpi_type() {
    return std::is_same_v<Scalar, float> ? MPI_FLOAT : MPI_DOUBLE;
}

template <class Scalar>
std::vector<Scalar*> moved(std::vector<Scalar*> arrays, Index values) {
    for (Scalar*& array : arrays) array += values;
    return arrays;
}

}  // namespace

std::vector<SumParty> parties_of(const ReplicaMap& map) {
    std::vector<SumParty> parties;
    parties.reserve(static_cast<std::size_t>(map.ranks()));
    for (int rank = 0; rank < map.ranks(); ++rank) parties.push_back({rank, map.block(rank)});
    return parties;
}

int next_sum(const Communicator& communicator) {
    return state_of(communicator).sums++ % (tags::sums.count / 2);
}

template <class Scalar>
ReplicaSum<Scalar>::ReplicaSum(const Communicator& communicator, const std::vector<SumParty>& parties,
                               std::vector<Scalar*> cover, Scalar* result, Index count, int number,
                               std::shared_ptr<void> owner, Options options)
    : communicator_(communicator),
      count_(count),
      number_(number),
      owner_(std::move(owner)),
      options_(options) {
    const auto mine = std::ranges::find(parties, communicator.rank(), &SumParty::rank);
    if (mine == parties.end()) throw Error("replica sum: the rank is no party to it");
    const ReplicaRange tree{parties.front().replicas.begin, parties.back().replicas.end};
    if (cover.size() != tree_cover(tree, mine->replicas).size())
        throw Error("replica sum: one array for each node of the party's cover is needed");
    make_levels(parties, static_cast<int>(mine - parties.begin()), std::move(cover), result);
    stage_ = stages_ = levels_.size() + ways_down_;
}

template <class Scalar>
auto ReplicaSum<Scalar>::message(int rank, const std::vector<Scalar*>& arrays, Index values) -> Message {
    const int size = static_cast<int>(values);
    if (arrays.size() == 1) return {rank, arrays.front(), size, mpi_type<Scalar>()};
    std::vector<MPI_Aint> places(arrays.size());
    for (std::size_t k = 0; k < arrays.size(); ++k) MPI_Get_address(arrays[k], &places[k]);
    MPI_Datatype type = MPI_DATATYPE_NULL;
    communicator_.check(MPI_Type_create_hindexed_block(static_cast<int>(places.size()), size, places.data(),
                                                       mpi_type<Scalar>(), &type),
                        "preparing to send gradients");
    types_.push_back(type);
    communicator_.check(MPI_Type_commit(&type), "preparing to send gradients");
    return {rank, MPI_BOTTOM, 1, type};
}

template <class Scalar>
void ReplicaSum<Scalar>::make_levels(const std::vector<SumParty>& parties, int me, std::vector<Scalar*> cover,
                                     Scalar* result) {
    std::vector<ReplicaRange> replicas;
    replicas.reserve(parties.size());
    for (const SumParty& party : parties) replicas.push_back(party.replicas);
    const ReplicaRange tree{replicas.front().begin, replicas.back().end};
    const bool single_nodes =
        std::ranges::all_of(replicas, [&](ReplicaRange one) { return tree_cover(tree, one).size() == 1; });
    const SumForm form = chosen_form(options_.form, count_ * static_cast<Index>(sizeof(Scalar)),
                                     std::ssize(parties), single_nodes);
    const std::vector<SumLevel> plan = plan_sum(replicas, me, count_, slice_alignment,
                                                {.form = form, .flat = options_.flat, .base = options_.base});
    const auto rank_of = [&](int party) { return parties[static_cast<std::size_t>(party)].rank; };
    levels_.reserve(plan.size());
    for (const SumLevel& step : plan) {
        std::vector<ReplicaRange> nodes;
        for (const SumPart& part : step.parts)
            nodes.insert(nodes.end(), part.nodes.begin(), part.nodes.end());
        Level& level = levels_.emplace_back(Level{.receive = {},
                                                  .send = {},
                                                  .received = {},
                                                  .fold = FoldPlan(tree, nodes),
                                                  .operands = {},
                                                  .values = step.after.size(),
                                                  .stack = {},
                                                  .result = nullptr,
                                                  .give = {},
                                                  .get = {}});
        const Index stride = padded(level.values);
        level.received.resize((nodes.size() - step.parts[step.own].nodes.size()) *
                              static_cast<std::size_t>(stride));
        Scalar* next = level.received.data();
        // `cover` holds what the party has, from step.before.begin on.
        for (const SumPart& part : step.parts) {
            std::vector<Scalar*> arrays = moved(cover, step.after.begin - step.before.begin);
            if (&part != &step.parts[step.own]) {
                arrays.clear();
                for (std::size_t k = 0; k < part.nodes.size(); ++k, next += stride) arrays.push_back(next);
            }
            for (const SliceMessage& one : part.receive) {
                level.receive.push_back(message(
                    rank_of(one.party), moved(arrays, one.slice.begin - step.after.begin), one.slice.size()));
                if (step.returns)
                    level.give.push_back({rank_of(one.party), result + one.slice.begin,
                                          static_cast<int>(one.slice.size()), mpi_type<Scalar>()});
            }
            level.operands.insert(level.operands.end(), arrays.begin(), arrays.end());
        }
        for (const SliceMessage& one : step.send) {
            level.send.push_back(message(
                rank_of(one.party), moved(cover, one.slice.begin - step.before.begin), one.slice.size()));
            if (step.returns)
                level.get.push_back({rank_of(one.party), result + one.slice.begin,
                                     static_cast<int>(one.slice.size()), mpi_type<Scalar>()});
        }
        ways_down_ += step.returns ? 1 : 0;
        // A sum lies where its left operand lay.
        level.stack.resize(static_cast<std::size_t>(level.fold.slots()));
        level.fold.fold(
            level.stack.data(), [&](int i) { return level.operands[static_cast<std::size_t>(i)]; },
            [](Scalar* left, Scalar*, FoldPlace) { return left; });
        cover.assign(level.stack.begin(), level.stack.begin() + level.fold.remaining());
    }
    std::size_t most = 0;
    for (const Level& level : levels_)
        most =
            std::max({most, level.receive.size() + level.send.size(), level.give.size() + level.get.size()});
    requests_.reserve(most);
    request_ranks_.reserve(most);
    if (plan.empty()) {
        if (result != cover.front()) throw Error("replica sum: a party alone has its result already");
        return;
    }
    levels_.back().result = result + plan.back().after.begin;
}

template <class Scalar>
ReplicaSum<Scalar>::~ReplicaSum() {
    if (types_.empty() && !under_way()) return;
    CommunicatorState& state = state_of(communicator_);
    const Inside inside = Inside::sooner_or_later(state);
    if (state.may_call_mpi())
        for (MPI_Datatype& type : types_) MPI_Type_free(&type);  // as soon as nothing under way needs it
    if (!under_way()) return;
    const auto memory = std::make_shared<std::pair<std::vector<Level>, std::shared_ptr<void>>>(
        std::move(levels_), std::move(owner_));
    state.give_up(what(), {std::move(requests_), memory, receives_});
}

template <class Scalar>
std::string ReplicaSum<Scalar>::what() const {
    return "reducing gradients (part " + std::to_string(number_) + ")";
}

template <class Scalar>
void ReplicaSum<Scalar>::receive(const Message& from, int phase) {
    request_ranks_.push_back(from.rank);
    ++receives_;
    communicator_.check(MPI_Irecv(from.buffer, from.size, from.type, from.rank, tag_of(number_, phase),
                                  communicator_.handle(), &requests_.emplace_back(MPI_REQUEST_NULL)),
                        "receiving gradients");
}

template <class Scalar>
void ReplicaSum<Scalar>::send(const Message& to, int phase) {
    request_ranks_.push_back(to.rank);
    communicator_.check(MPI_Isend(to.buffer, to.size, to.type, to.rank, tag_of(number_, phase),
                                  communicator_.handle(), &requests_.emplace_back(MPI_REQUEST_NULL)),
                        "sending gradients");
}

template <class Scalar>
void ReplicaSum<Scalar>::start() {
    if (under_way()) throw UsageError("a replica sum was started again before it had ended");
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    stage_ = 0;
    if (under_way()) begin_stage();
}

template <class Scalar>
void ReplicaSum<Scalar>::begin_stage() {
    requests_.clear();
    request_ranks_.clear();
    receives_ = 0;
    const bool up = stage_ < levels_.size();
    const Level& level = levels_[up ? stage_ : stages_ - 1 - stage_];
    for (const Message& one : up ? level.receive : level.get) receive(one, up ? 0 : 1);
    for (const Message& one : up ? level.send : level.give) send(one, up ? 0 : 1);
}

template <class Scalar>
void ReplicaSum<Scalar>::end_stage() {
    if (stage_ < levels_.size()) add(levels_[stage_]);
    if (++stage_ < stages_) begin_stage();
}

template <class Scalar>
void ReplicaSum<Scalar>::add(Level& level) {
    level.fold.fold(
        level.stack.data(), [&](int i) { return level.operands[static_cast<std::size_t>(i)]; },
        [&](Scalar* left, const Scalar* right, FoldPlace place) {
            // The last sum of all goes where the result is wanted; nothing there is needed any more.
            Scalar* const into = place.root && level.result != nullptr ? level.result : left;
            elementwise<Scalar>().add(into, left, right, level.values);
            return into;
        });
}

template <class Scalar>
bool ReplicaSum<Scalar>::poll() {
    const Inside inside(communicator_);
    return drive();
}

template <class Scalar>
bool ReplicaSum<Scalar>::drive() {
    while (under_way()) {
        int complete = 0;
        communicator_.check(
            MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &complete, MPI_STATUSES_IGNORE),
            "reducing gradients");
        if (!complete) return false;
        end_stage();
    }
    return true;
}

template <class Scalar>
void ReplicaSum<Scalar>::wait() {
    const Inside inside(communicator_);
    TimedWait wait(state_of(communicator_));
    while (!drive())
        if (wait.time_is_up()) fail_on_time();
}

template <class Scalar>
void ReplicaSum<Scalar>::fail_on_time() {
    std::vector<int> missing;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
        int done = 0;
        MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE);
        if (!done) missing.push_back(request_ranks_[i]);
    }
    state_of(communicator_).fail_on_time(what(), missing);
}

template class ReplicaSum<float>;
template class ReplicaSum<double>;

}  // namespace lockstep
