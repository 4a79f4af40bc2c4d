/// What the MPI tests share: values that every rank can compute for every replica, a watch, and caught
/// errors.
#pragma once

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace lockstep::testing {

/// Values of very different sizes: whoever sums them in another order gets other bits.
template <class Scalar>
std::vector<Scalar> values_of_replica(int replica, std::size_t count, std::uint64_t seed = 1) {
    RandomStream stream(seed, RandomPurpose::test, static_cast<std::uint64_t>(replica));
    std::vector<Scalar> values(count);
    for (Scalar& value : values)
        value = static_cast<Scalar>(stream.normal() * std::pow(10.0, stream.uniform(-3, 3)));
    return values;
}

/// The sum by definition: tree(lo, hi) = tree(lo, mid) + tree(mid, hi).
template <class Scalar>
std::vector<Scalar> tree_sum(ReplicaRange tree, const std::function<std::vector<Scalar>(int)>& leaf) {
    if (tree.size() == 1) return leaf(tree.begin);
    const int middle = tree.begin + tree.size() / 2;
    auto left = tree_sum<Scalar>({tree.begin, middle}, leaf);
    const auto right = tree_sum<Scalar>({middle, tree.end}, leaf);
    for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
    return left;
}

/// The text of the E that `action` throws; empty where it throws none.
template <class E, class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const E& error) {
        return error.what();
    }
    return {};
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Watch {
  public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline int world_rank() {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

inline int world_size() {
    int size = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
}

/// Seconds within which a disagreement must be found; more where ranks share cores or are slowed down by
/// sanitizers, but never near the time-outs that the tests set.
inline double promptly() {
    double seconds = world_size() <= static_cast<int>(std::thread::hardware_concurrency()) ? 1.0 : 3.0;
#ifdef __SANITIZE_ADDRESS__
    seconds *= 2;
#endif
    return seconds;
}

/// Whether all ranks hold the same bytes.
template <class Values>
bool same_on_all_ranks(const Values& values) {
    const int bytes = static_cast<int>(values.size() * sizeof(*values.data()));
    std::vector<char> first(static_cast<std::size_t>(bytes));
    const auto* mine = reinterpret_cast<const char*>(values.data());
    first.assign(mine, mine + bytes);
    MPI_Bcast(first.data(), bytes, MPI_CHAR, 0, MPI_COMM_WORLD);
    const int same_here = std::equal(first.begin(), first.end(), mine) ? 1 : 0;
    int same = 0;
    MPI_Allreduce(&same_here, &same, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return same == 1;
}

}  // namespace lockstep::testing
