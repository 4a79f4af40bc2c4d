/// A short sum over replicas along the fixed tree, in one exchange: ranks send each other their covers of the
/// tree, and every one of them finishes the tree, identically.
///
/// The messages travel point to point and carry a label: for few ranks one message each way between any two
/// is all that a "collective" of this kind costs (many go in stages, see exchange_plan.hpp), and ranks that
/// disagree learn it from the label, at once. Between ranks of a node messages go through memory that they share, once
/// it has been made (see share_exchange_memory); of a node one rank alone sends to others.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/exchange_label.hpp>
#include <lockstep/comm/exchange_plan.hpp>
#include <lockstep/comm/fixed_tree.hpp>
#include <lockstep/comm/replica_map.hpp>

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace lockstep {

/// left ← left ⊕ right for arrays of doubles whose length and layout the owner of the exchange knows.
using TreeMerge = std::function<void(double* left, const double* right)>;

/// left ← left + right.
LOCKSTEP_EXPORT TreeMerge sum_merge(std::size_t values);

/// From here on exchanges that are made for this communicator go through memory among the ranks of a node, if that can be
/// had. Collective at the first call for a communicator, and nothing at the others. All ranks make their exchanges
/// before it or after it, alike. Throws as nodes_of does.
LOCKSTEP_EXPORT void share_exchange_memory(const Communicator& communicator);

class Mailboxes;

/// One reusable exchange over the replicas of `tree`. Allocates only on construction.
///
/// Each call: for every hosted replica in order, write leaf(i) and push(i); then start, and poll or wait.
/// With a tree that lies wholly on the calling rank nothing is sent.
class LOCKSTEP_EXPORT TreeExchange {
  public:
    /// The calling rank must host a replica of the tree. `direct_ranks` (see exchange_plan.hpp) is alike on
    /// all.
    TreeExchange(const Communicator& communicator, const ReplicaMap& map, ReplicaRange tree,
                 std::size_t values, TreeMerge merge, int direct_ranks = default_direct_ranks);
    ~TreeExchange();

    TreeExchange(const TreeExchange&) = delete;
    TreeExchange& operator=(const TreeExchange&) = delete;

    /// The replicas of the tree that live here.
    ReplicaRange hosted() const { return hosted_; }
    bool crosses_ranks() const { return crosses_ranks_; }

    /// Where to write the values of hosted replica number i (0 is hosted().begin).
    double* leaf(int i) { return slot(leaves_.slot(i)); }
    /// Says that leaf(i) is written. In the order of i; merges what can be merged.
    void push(int i);

    /// Sends the hosted part. The label must be alike on all ranks of the tree.
    void start(const ExchangeLabel& label);
    /// Receives what has come; true when the result is there. Throws CommunicationError on a mismatch.
    bool poll();
    /// Receives everything. The result stays valid until the next push. Throws CommunicationError on a
    /// mismatch (naming both sides) and after the time-out (naming who has not come).
    double* wait();

  private:
    struct Peer;
    struct Stage;

    double* slot(int k) { return node(message_, k); }
    double* node(AlignedVector<std::byte>& message, int k) const;
    std::size_t message_bytes(int nodes) const;
    Stage make_stage(const ExchangeStage& plan, ReplicaRange tree, AlignedVector<std::byte>& own);

    bool drive();
    /// Receives and sends what can be, up to the end of the exchange.
    void advance();
    /// False if it has to be tried again.
    bool send_stage();
    bool receive_stage();
    void finish_stage();
    /// Whether this exchange still awaits the message of a rank in the stage of that number.
    bool awaits(int rank, int stage_number) const;
    bool is_next_for(const Peer& peer) const;
    bool may_send() const;
    void receive(Peer& peer);
    void take_letter(Peer& peer);
    void match(Peer& peer);
    ExchangeLabel label() const;
    void check_label(const Peer& peer, const ExchangeLabel& theirs) const;
    [[noreturn]] void fail_on_size(Peer& peer, MPI_Message message, int bytes);
    [[noreturn]] void fail_on_size(const Peer& peer, std::size_t due, const std::byte* message,
                                   std::size_t bytes);
    [[noreturn]] void fail_on_time();

    Communicator communicator_;
    std::shared_ptr<Mailboxes> mailboxes_;  // null: all messages are MPI's
    ReplicaRange hosted_;
    std::size_t values_;
    TreeMerge merge_;
    FoldPlan leaves_;
    bool crosses_ranks_ = false;
    // Label, then the slots: what is summed here is sent from where it lies.
    AlignedVector<std::byte> message_;
    std::vector<Stage> stages_;
    std::size_t stage_ = 0;  // the one at hand
    bool stage_sent_ = false;
    std::vector<double*> stack_;
    bool under_way_ = false;
    double* result_ = nullptr;
};

}  // namespace lockstep
