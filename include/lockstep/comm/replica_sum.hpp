/// Long sums over replicas along the fixed tree in messages, nonblocking and in place: what reduces gradients
/// where the ranks do not share memory (see NodeSum).
///
/// A rank keeps one array for each node of its cover; the sum over all replicas replaces the first of them.
///   short form: every rank sends its cover to every other and finishes the tree.
///   long form:  rank s receives slice s of every cover, finishes the tree for it, and sends the result back:
///               2·(P−1)/P times the array each way, as the best all-reduce.
/// Both give the same bits, at any number of ranks. `Reduction::fast` hands the job to MPI_Iallreduce
/// instead.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

enum class Reduction { reproducible, fast };
enum class ExchangeForm { automatic, short_form, long_form };

/// One reusable sum of `count` values, over all replicas of a map. Allocates only on construction.
/// Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT ReplicaSum {
  public:
    struct Options {
        Reduction reduction = Reduction::reproducible;
        ExchangeForm form = ExchangeForm::automatic;
        /// Keeps the arrays of the cover as long as MPI may touch them after a failure.
        std::shared_ptr<void> owner_of_arrays = nullptr;
    };

    /// Collective, one exchange. `cover` points to one array of `count` values for each node of this rank's cover of tree(0, R), from
    /// left to right (see FoldPlan::of_leaves, whose remaining slots they are). The arrays stay the caller's;
    /// after a CommunicationError MPI may still touch them (see owner_of_arrays). Throws CommunicationError on
    /// every rank if the ranks do not agree on sizes, replicas or options.
    ///
    /// Every sum has tags of its own, so that sums that are under way together, or that the ranks start in
    /// another order, never take each other's values.
    ReplicaSum(const Communicator& communicator, const ReplicaMap& map, std::vector<Scalar*> cover,
               Index count, Options options);
    ~ReplicaSum();
    ReplicaSum(const ReplicaSum&) = delete;
    ReplicaSum& operator=(const ReplicaSum&) = delete;

    /// Starts the sum; from here to the end the arrays must not be touched.
    void start();
    /// Drives the sum; true when cover[0] holds the result (alike on all ranks).
    bool poll();
    /// Drives the sum to its end. Throws CommunicationError after the time-out.
    void wait();

  private:
    enum class Stage { idle, scattering, gathering, reducing, done };

    struct Slice {
        Index begin = 0, end = 0;
        int size() const { return static_cast<int>(end - begin); }
    };

    Slice slice(int rank) const;
    void plan_operands();
    void send(const Scalar* from, Slice part, int rank, int stage);
    void receive(Scalar* into, int size, int rank, int stage);
    void clear_requests();
    MPI_Request* next_request(int rank);
    bool drive();
    std::string what() const;
    [[noreturn]] void fail_on_time();
    void finish_tree();
    void start_gathering();

    Communicator communicator_;
    std::vector<Scalar*> cover_;
    Index count_;
    Options options_;
    int number_ = 0;  // of the communicator's sums: picks the tags
    bool long_form_ = false;
    std::vector<int> cover_sizes_;  // by rank
    FoldPlan top_;
    AlignedVector<Scalar> received_;
    std::vector<Scalar*> operands_;  // of the top of the tree, from left to right
    std::vector<Scalar*> stack_;
    std::vector<MPI_Request> requests_;
    std::size_t receives_ = 0;        // which come first among them
    std::vector<int> request_ranks_;  // with whom each of them is
    Stage stage_ = Stage::idle;
};

extern template class ReplicaSum<float>;
extern template class ReplicaSum<double>;

}  // namespace lockstep
