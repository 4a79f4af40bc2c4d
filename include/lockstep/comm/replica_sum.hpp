/// Long sums along the fixed tree in messages, nonblocking and in place: what adds gradients between nodes, or between
/// ranks that share no memory.
///
/// A party is a rank that stands for a stretch of neighbouring replicas: its own, or its node's. It brings one array for
/// each node of the stretch's cover; the sum over all replicas replaces the first of them. Who sends what: see SumPlan.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/sum_plan.hpp>

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

struct SumParty {
    int rank;
    ReplicaRange replicas;
};

/// The ranks of a map, each for its own replicas.
LOCKSTEP_EXPORT std::vector<SumParty> parties_of(const ReplicaMap& map);

enum class ExchangeForm { automatic, short_form, long_form };

/// One reusable sum of `count` values. Allocates only on construction. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT ReplicaSum {
  public:
    struct Options {
        ExchangeForm form = ExchangeForm::automatic;
        int flat = 8, base = 4;  ///< see SumPlanOptions; for tests
    };

    /// Local, but alike on all parties, of which the calling rank is one; together they have all replicas. `cover` points
    /// to one array of `count` values for each node of this party's cover, from left to right (see
    /// FoldPlan::of_leaves, whose remaining slots they are). They are `owner`'s, which is kept as long as MPI may touch
    /// them, after a failure as well; it may be null where the caller answers for that. `result` gets the sum, and may
    /// be the first array.
    ///
    /// `number` is that of the sum among those of the communicator (see next_sum): each has tags of its own, so that
    /// sums that are under way together, or that are started in another order, never take each other's values.
    ReplicaSum(const Communicator& communicator, const std::vector<SumParty>& parties,
               std::vector<Scalar*> cover, Scalar* result, Index count, int number,
               std::shared_ptr<void> owner, Options options);
    ~ReplicaSum();
    ReplicaSum(const ReplicaSum&) = delete;
    ReplicaSum& operator=(const ReplicaSum&) = delete;

    /// Starts the sum; from here to the end the arrays must not be touched.
    void start();
    /// Drives the sum; true when the result is there (alike on all parties).
    bool poll();
    /// Drives the sum to its end. Throws CommunicationError after the time-out.
    void wait();
    /// Throws CommunicationError that says the time is up and whose messages have not come.
    [[noreturn]] void fail_on_time();

  private:
    /// Slices of some arrays, sent or received as one.
    struct Message {
        int rank;
        void* buffer;
        int size;
        MPI_Datatype type;
    };
    struct Level {
        std::vector<Message> receive, send;  // on the way up
        AlignedVector<Scalar> received;
        FoldPlan fold;
        std::vector<Scalar*> operands;  // of the fold, from left to right
        Index values = 0;               // of each
        std::vector<Scalar*> stack;
        Scalar* result = nullptr;        // of the last level
        std::vector<Message> give, get;  // on the way down
    };

    void make_levels(const std::vector<SumParty>& parties, int me, std::vector<Scalar*> cover,
                     Scalar* result);
    Message message(int rank, const std::vector<Scalar*>& arrays, Index values);
    void receive(const Message& from, int phase);
    void send(const Message& to, int phase);
    void begin_stage();
    void end_stage();
    static void add(Level& level);
    bool drive();
    bool under_way() const { return stage_ < stages_; }
    std::string what() const;

    Communicator communicator_;
    Index count_;
    int number_;
    std::shared_ptr<void> owner_;
    Options options_;
    std::vector<Level> levels_;
    std::vector<MPI_Datatype> types_;  // to free
    // Levels upwards, then downwards; beyond the last one there is nothing to do.
    std::size_t stage_ = 0, stages_ = 0, ways_down_ = 0;
    std::vector<MPI_Request> requests_;  // of the stage, those of receiving first
    std::size_t receives_ = 0;
    std::vector<int> request_ranks_;  // with whom each of them is
};

extern template class ReplicaSum<float>;
extern template class ReplicaSum<double>;

/// Numbers the sums of a communicator: alike on all ranks that count alike.
LOCKSTEP_EXPORT int next_sum(const Communicator& communicator);

}  // namespace lockstep
