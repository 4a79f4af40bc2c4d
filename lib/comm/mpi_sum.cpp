#include "mpi_sum.hpp"

#include "../simd/elementwise.hpp"
#include "buckets.hpp"
#include "communicator_state.hpp"

#include <lockstep/comm/fixed_tree.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace lockstep {

template <class Scalar>
MpiSum<Scalar>::MpiSum(const Communicator& communicator, const ReplicaMap& map, Index values)
    : communicator_(communicator),
      arrays_(std::make_shared<Arrays>(tree_cover(map.all(), map.block(communicator.rank())).size(),
                                       AlignedVector<Scalar>(static_cast<std::size_t>(values)))),
      values_(values),
      started_(values) {
    for (auto& array : *arrays_) this->cover_.push_back(array.data());
    requests_.reserve(buckets_of<Scalar>(values, 1).size());
}

template <class Scalar>
MpiSum<Scalar>::~MpiSum() {
    if (requests_.empty()) return;
    CommunicatorState& state = state_of(communicator_);
    const Inside inside = Inside::sooner_or_later(state);
    state.give_up_collective();
    state.give_up("reducing gradients", {std::move(requests_), std::move(arrays_)});
}

template <class Scalar>
void MpiSum<Scalar>::start(Index begin, Index end) {
    Scalar* const sum = this->cover_.front() + begin;
    for (std::size_t k = 1; k < this->cover_.size(); ++k)
        elementwise<Scalar>().add(sum, sum, this->cover_[k] + begin, end - begin);
    communicator_.check(MPI_Iallreduce(MPI_IN_PLACE, sum, static_cast<int>(end - begin),
                                       std::is_same_v<Scalar, float> ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM,
                                       communicator_.handle(), &requests_.emplace_back(MPI_REQUEST_NULL)),
                        "reducing gradients");
}

template <class Scalar>
void MpiSum<Scalar>::ready(Index offset) {
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    for (const Bucket& bucket : buckets_of<Scalar>(started_, 1)) {
        if (bucket.begin < offset) break;
        start(bucket.begin, bucket.end);
        started_ = bucket.begin;
    }
    int complete = 0;
    communicator_.check(
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &complete, MPI_STATUSES_IGNORE),
        "reducing gradients");
}

template <class Scalar>
const Scalar* MpiSum<Scalar>::finish() {
    ready(0);
    for (MPI_Request& request : requests_) communicator_.wait(request, "reducing gradients");
    requests_.clear();
    started_ = values_;
    return this->cover_.front();
}

template class MpiSum<float>;
template class MpiSum<double>;

}  // namespace lockstep
