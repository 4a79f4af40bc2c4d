#include "../simd/elementwise.hpp"
#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/replica_sum.hpp>
#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

namespace lockstep {
namespace {

constexpr int anybody = -1;  // in place of a rank, for a request that waits for all

/// What MPI sends along at once; for more, the two sides have to meet first. (Of Open MPI over shared memory;
/// other transports have similar limits.)
constexpr Index eager_bytes = 3584;
/// Up to this many bytes from all others one latency counts for more than the bytes that the long form saves.
constexpr Index short_form_bytes = 32768;

/// Short while a message is sent at once; long where that makes slices small enough for it; else by length.
bool prefers_long_form(Index bytes, Index ranks) {
    if (bytes <= eager_bytes) return false;
    if (bytes / ranks <= eager_bytes) return true;
    return bytes * (ranks - 1) > short_form_bytes;
}

/// Slices start on a cache line.
constexpr Index slice_alignment = 16;

/// The tag of a stage (0 or 1) of a sum. The numbers come round again after so many sums that the earlier
/// ones are gone.
int tag_of(int sum, int stage) {
    return tags::sums.first + (2 * sum + stage) % tags::sums.count;
}

template <class Scalar>
constexpr MPI_Datatype mpi_type() {
    return std::is_same_v<Scalar, float> ? MPI_FLOAT : MPI_DOUBLE;
}

}  // namespace

template <class Scalar>
ReplicaSum<Scalar>::ReplicaSum(const Communicator& communicator, const ReplicaMap& map,
                               std::vector<Scalar*> cover, Index count, Options options)
    : communicator_(communicator),
      cover_(std::move(cover)),
      count_(count),
      options_(options),
      top_(map.all(), all_covers(map)) {
    const Inside inside(communicator_);
    number_ = state_of(communicator_).sums++ % (tags::sums.count / 2);
    check_agreement(communicator_, "a sum over replicas",
                    {{"values", std::to_string(count)},
                     {"bytes of a value", std::to_string(sizeof(Scalar))},
                     {"replicas", std::to_string(map.replicas())},
                     {"reduction", options.reduction == Reduction::fast ? "fast" : "reproducible"},
                     {"form", std::to_string(static_cast<int>(options.form))},
                     {"number of the sum", std::to_string(number_)}});
    for (int rank = 0; rank < map.ranks(); ++rank)
        cover_sizes_.push_back(static_cast<int>(tree_cover(map.all(), map.block(rank)).size()));
    if (static_cast<int>(cover_.size()) != cover_sizes_[static_cast<std::size_t>(communicator_.rank())])
        throw Error("replica sum: one array for each node of the rank's cover is needed");
    if (options_.form == ExchangeForm::automatic)
        long_form_ = prefers_long_form(count_ * static_cast<Index>(sizeof(Scalar)), communicator_.size());
    else
        long_form_ = options_.form == ExchangeForm::long_form;
    plan_operands();
}

template <class Scalar>
ReplicaSum<Scalar>::~ReplicaSum() {
    if (stage_ == Stage::idle || stage_ == Stage::done) return;
    CommunicatorState& state = state_of(communicator_);
    const Inside inside = Inside::sooner_or_later(state);
    if (stage_ == Stage::reducing) state.give_up_collective();
    const auto memory = std::make_shared<std::pair<AlignedVector<Scalar>, std::shared_ptr<void>>>(
        std::move(received_), std::move(options_.owner_of_arrays));
    state.give_up(what(), {std::move(requests_), memory, receives_});
}

template <class Scalar>
std::string ReplicaSum<Scalar>::what() const {
    return "reducing gradients (part " + std::to_string(number_) + ")";
}

template <class Scalar>
auto ReplicaSum<Scalar>::slice(int rank) const -> Slice {
    if (!long_form_) return {0, count_};
    const Index ranks = communicator_.size();
    const Index units = (count_ + slice_alignment - 1) / slice_alignment;
    const auto boundary = [&](Index r) { return std::min(count_, r * units / ranks * slice_alignment); };
    return {boundary(rank), boundary(rank + 1)};
}

template <class Scalar>
void ReplicaSum<Scalar>::plan_operands() {
    const int me = communicator_.rank();
    const Slice mine = slice(me);
    // Room for the covers of the others; each part starts on a cache line.
    const Index stride = (mine.size() + slice_alignment - 1) / slice_alignment * slice_alignment;
    Index parts = 0;
    for (int rank = 0; rank < communicator_.size(); ++rank)
        if (rank != me) parts += cover_sizes_[static_cast<std::size_t>(rank)];
    if (options_.reduction == Reduction::reproducible)
        received_.resize(static_cast<std::size_t>(parts * stride));

    Index part = 0;
    for (int rank = 0; rank < communicator_.size(); ++rank)
        for (int k = 0; k < cover_sizes_[static_cast<std::size_t>(rank)]; ++k)
            operands_.push_back(rank == me ? cover_[static_cast<std::size_t>(k)] + mine.begin
                                           : received_.data() + part++ * stride);
    stack_.resize(static_cast<std::size_t>(top_.slots()));
    const auto most_requests =
        static_cast<std::size_t>(parts) +
        static_cast<std::size_t>(communicator_.size()) * std::max<std::size_t>(cover_.size(), 2);
    requests_.reserve(most_requests);
    request_ranks_.reserve(most_requests);
}

template <class Scalar>
void ReplicaSum<Scalar>::clear_requests() {
    requests_.clear();
    request_ranks_.clear();
    receives_ = 0;
}

template <class Scalar>
MPI_Request* ReplicaSum<Scalar>::next_request(int rank) {
    request_ranks_.push_back(rank);
    return &requests_.emplace_back(MPI_REQUEST_NULL);
}

template <class Scalar>
void ReplicaSum<Scalar>::send(const Scalar* from, Slice part, int rank, int stage) {
    communicator_.check(MPI_Isend(from + part.begin, part.size(), mpi_type<Scalar>(), rank,
                                  tag_of(number_, stage), communicator_.handle(), next_request(rank)),
                        "sending gradients");
}

template <class Scalar>
void ReplicaSum<Scalar>::receive(Scalar* into, int size, int rank, int stage) {
    ++receives_;
    communicator_.check(MPI_Irecv(into, size, mpi_type<Scalar>(), rank, tag_of(number_, stage),
                                  communicator_.handle(), next_request(rank)),
                        "receiving gradients");
}

template <class Scalar>
void ReplicaSum<Scalar>::start() {
    const int me = communicator_.rank(), ranks = communicator_.size();
    if (stage_ != Stage::idle && stage_ != Stage::done)
        throw UsageError("a replica sum was started again before it had ended");
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    clear_requests();
    if (options_.reduction == Reduction::fast) {
        for (std::size_t k = 1; k < cover_.size(); ++k)
            elementwise<Scalar>().add(cover_[0], cover_[0], cover_[k], count_);
        communicator_.check(
            MPI_Iallreduce(MPI_IN_PLACE, cover_[0], static_cast<int>(count_), mpi_type<Scalar>(), MPI_SUM,
                           communicator_.handle(), next_request(anybody)),
            "reducing gradients");
        stage_ = Stage::reducing;
        return;
    }
    auto operand = operands_.begin();
    for (int rank = 0; rank < ranks; ++rank)
        for (int k = 0; k < cover_sizes_[static_cast<std::size_t>(rank)]; ++k, ++operand)
            if (rank != me) receive(*operand, slice(me).size(), rank, 0);
    // Each rank begins with its right-hand neighbour, so that not all of them send to rank 0 first.
    for (int offset = 1; offset < ranks; ++offset) {
        const int rank = (me + offset) % ranks;
        for (const Scalar* node : cover_) send(node, slice(rank), rank, 0);
    }
    stage_ = Stage::scattering;
}

template <class Scalar>
bool ReplicaSum<Scalar>::poll() {
    const Inside inside(communicator_);
    return drive();
}

template <class Scalar>
bool ReplicaSum<Scalar>::drive() {
    if (stage_ == Stage::idle || stage_ == Stage::done) return true;
    int complete = 0;
    communicator_.check(
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &complete, MPI_STATUSES_IGNORE),
        "reducing gradients");
    if (!complete) return false;
    if (stage_ == Stage::scattering) {
        finish_tree();
        if (long_form_ && communicator_.size() > 1) {
            start_gathering();
            return false;
        }
    }
    stage_ = Stage::done;
    return true;
}

template <class Scalar>
void ReplicaSum<Scalar>::finish_tree() {
    const Slice mine = slice(communicator_.rank());
    Scalar* const result = cover_[0] + mine.begin;
    top_.fold(
        stack_.data(), [this](int i) { return operands_[static_cast<std::size_t>(i)]; },
        [&](Scalar* left, const Scalar* right, FoldPlace place) {
            // The last sum of all goes where the result is wanted; nothing there is needed any more.
            Scalar* const into = place.root ? result : left;
            elementwise<Scalar>().add(into, left, right, mine.size());
            return into;
        });
}

template <class Scalar>
void ReplicaSum<Scalar>::start_gathering() {
    const int me = communicator_.rank(), ranks = communicator_.size();
    clear_requests();
    for (int offset = 1; offset < ranks; ++offset) {
        const int rank = (me + ranks - offset) % ranks;
        receive(cover_[0] + slice(rank).begin, slice(rank).size(), rank, 1);
    }
    for (int offset = 1; offset < ranks; ++offset) send(cover_[0], slice(me), (me + offset) % ranks, 1);
    stage_ = Stage::gathering;
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
        if (!done && request_ranks_[i] != anybody) missing.push_back(request_ranks_[i]);
    }
    state_of(communicator_).fail_on_time(what(), missing);
}

template class ReplicaSum<float>;
template class ReplicaSum<double>;

}  // namespace lockstep
