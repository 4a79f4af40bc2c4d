#include "communicator_state.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>

namespace lockstep {
namespace {

constexpr int exchange_tag = 1;

/// The covers of all ranks that share the tree, from left to right.
std::vector<ReplicaRange> all_covers(const ReplicaMap& map, ReplicaRange tree) {
    std::vector<ReplicaRange> nodes;
    for (int rank = map.rank_of(tree.begin); rank <= map.rank_of(tree.end - 1); ++rank) {
        const auto cover = tree_cover(tree, map.block(rank));
        nodes.insert(nodes.end(), cover.begin(), cover.end());
    }
    return nodes;
}

}  // namespace

TreeMerge sum_merge(std::size_t values) {
    return [values](double* left, const double* right) {
        for (std::size_t i = 0; i < values; ++i) left[i] += right[i];
    };
}

struct TreeExchange::Peer {
    int rank = 0;
    AlignedVector<std::byte> message;
    MPI_Request request = MPI_REQUEST_NULL;
    bool matched = false;  // its message of this call has been matched
    bool arrived = false;  // … and received
};

TreeExchange::TreeExchange(const Communicator& communicator, const ReplicaMap& map, ReplicaRange tree,
                           std::size_t values, TreeMerge merge)
    : communicator_(communicator),
      hosted_(intersection(tree, map.block(communicator.rank()))),
      values_(values),
      merge_(std::move(merge)),
      leaves_(FoldPlan::of_leaves(tree, hosted_)),
      top_(tree, all_covers(map, tree)) {
    if (hosted_.empty()) throw Error("tree exchange: the rank hosts no replica of the tree");
    const auto bytes_of = [this](int nodes) {
        return sizeof(ExchangeLabel) + static_cast<std::size_t>(nodes) * values_ * sizeof(double);
    };
    if (bytes_of(leaves_.remaining()) > INT_MAX)
        throw UsageError("too many channels for one exchange: a message would exceed 2 GiB");
    message_.resize(bytes_of(leaves_.slots()));
    message_bytes_ = static_cast<int>(bytes_of(leaves_.remaining()));

    const int first = map.rank_of(tree.begin), last = map.rank_of(tree.end - 1);
    peers_.reserve(static_cast<std::size_t>(last - first));
    for (int rank = first; rank <= last; ++rank) {
        std::byte* message = message_.data();
        int nodes = leaves_.remaining();
        if (rank != communicator_.rank()) {
            Peer& peer = peers_.emplace_back();
            peer.rank = rank;
            nodes = static_cast<int>(tree_cover(tree, map.block(rank)).size());
            peer.message.resize(bytes_of(nodes));
            message = peer.message.data();
        }
        for (int k = 0; k < nodes; ++k) operands_.push_back(reinterpret_cast<double*>(message + bytes_of(k)));
    }
    sends_.assign(peers_.size(), MPI_REQUEST_NULL);
    stack_.resize(static_cast<std::size_t>(top_.slots()));
}

TreeExchange::~TreeExchange() {
    if (!under_way_) return;
    // Given up half way (an exception is on its way): later messages can no longer be told apart.
    auto& queue = communicator_.state_->in_flight;
    queue.erase(std::remove(queue.begin(), queue.end(), this), queue.end());
    communicator_.state_->failed = true;
    keep_for_mpi(std::make_shared<AlignedVector<std::byte>>(std::move(message_)));
    keep_for_mpi(std::make_shared<std::vector<Peer>>(std::move(peers_)));
    keep_for_mpi(std::make_shared<std::vector<MPI_Request>>(std::move(sends_)));
}

double* TreeExchange::slot(int k) {
    return reinterpret_cast<double*>(message_.data() + sizeof(ExchangeLabel)) +
           static_cast<std::size_t>(k) * values_;
}

void TreeExchange::push(int i) {
    int top = leaves_.slot(i);
    for (int merges = leaves_.merges_after(i); merges > 0; --merges, --top) merge_(slot(top - 1), slot(top));
}

void TreeExchange::start(const ExchangeLabel& label) {
    communicator_.state_->check_usable();
    if (under_way_)
        throw UsageError("an exchange was started again before it had ended: " + label.to_string());
    if (peers_.empty()) {
        result_ = slot(0);
        return;
    }
    result_ = nullptr;
    std::memcpy(message_.data(), &label, sizeof label);
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        peers_[i].matched = peers_[i].arrived = false;
        communicator_.check(MPI_Isend(message_.data(), message_bytes_, MPI_BYTE, peers_[i].rank, exchange_tag,
                                      communicator_.handle(), &sends_[i]),
                            "sending statistics");
    }
    missing_ = static_cast<int>(peers_.size());
    under_way_ = true;
    communicator_.state_->in_flight.push_back(this);
}

bool TreeExchange::poll() {
    if (!under_way_) return result_ != nullptr;
    // What arrives from a rank belongs to the exchange that was started first: those before this one go
    // first.
    auto& queue = communicator_.state_->in_flight;
    for (TreeExchange* earlier : queue) {
        for (Peer& peer : earlier->peers_)
            if (!peer.arrived) earlier->receive_next(peer);
        if (earlier == this) break;
    }
    if (missing_ > 0) return false;
    int sent = 0;
    communicator_.check(
        MPI_Testall(static_cast<int>(sends_.size()), sends_.data(), &sent, MPI_STATUSES_IGNORE),
        "sending statistics");
    if (!sent) return false;
    queue.erase(std::find(queue.begin(), queue.end(), this));
    under_way_ = false;
    finish_tree();
    return true;
}

void TreeExchange::receive_next(Peer& peer) {
    if (!peer.matched) {
        for (const TreeExchange* earlier : communicator_.state_->in_flight) {
            if (earlier == this) break;
            for (const Peer& other : earlier->peers_)
                if (other.rank == peer.rank && !other.matched) return;  // its next message is not for us
        }
        receive_from(peer);
    }
    if (!peer.matched) return;
    int done = 0;
    communicator_.check(MPI_Test(&peer.request, &done, MPI_STATUS_IGNORE), "receiving statistics");
    if (!done) return;
    ExchangeLabel theirs;
    std::memcpy(static_cast<void*>(&theirs), peer.message.data(), sizeof theirs);
    check_label(peer, theirs);
    peer.arrived = true;
    --missing_;
}

void TreeExchange::receive_from(Peer& peer) {
    // A matched probe tells the size before anything is received: a message of another size is no accident
    // that MPI reports by truncation on one rank only, but a disagreement that we can name.
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    communicator_.check(
        MPI_Improbe(peer.rank, exchange_tag, communicator_.handle(), &found, &message, &status),
        "awaiting statistics");
    if (!found) return;
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (bytes != static_cast<int>(peer.message.size())) fail_on_size(peer, message, bytes);
    communicator_.check(MPI_Imrecv(peer.message.data(), bytes, MPI_BYTE, &message, &peer.request),
                        "receiving statistics");
    peer.matched = true;
}

void TreeExchange::check_label(const Peer& peer, const ExchangeLabel& theirs) const {
    ExchangeLabel mine;
    std::memcpy(static_cast<void*>(&mine), message_.data(), sizeof mine);
    if (mine == theirs) return;
    communicator_.state_->fail(communicator_.whoami() + ": ranks disagree: rank " +
                               std::to_string(communicator_.rank()) + " is at " + mine.to_string() +
                               "; rank " + std::to_string(peer.rank) + " is at " + theirs.to_string() +
                               ". All ranks must call the same layers in the same order");
}

void TreeExchange::fail_on_size(const Peer& peer, MPI_Message message, int bytes) const {
    const auto unexpected = std::make_shared<AlignedVector<std::byte>>(
        static_cast<std::size_t>(std::max(bytes, int{sizeof(ExchangeLabel)})));
    keep_for_mpi(unexpected);
    MPI_Request request = MPI_REQUEST_NULL;
    communicator_.check(MPI_Imrecv(unexpected->data(), bytes, MPI_BYTE, &message, &request),
                        "receiving statistics");
    communicator_.wait(request, "receiving statistics");
    ExchangeLabel theirs;
    std::memcpy(static_cast<void*>(&theirs), unexpected->data(), sizeof theirs);
    check_label(peer, theirs);
    communicator_.state_->fail(communicator_.whoami() + ": rank " + std::to_string(peer.rank) + " sends " +
                               std::to_string(bytes) + " bytes where " + std::to_string(peer.message.size()) +
                               " are due, at " + theirs.to_string() +
                               ": the ranks have different numbers of replicas");
}

void TreeExchange::fail_on_time() const {
    ExchangeLabel mine;
    std::memcpy(static_cast<void*>(&mine), message_.data(), sizeof mine);
    std::string who;
    for (const Peer& peer : peers_)
        if (!peer.arrived) who += (who.empty() ? "" : ", ") + std::to_string(peer.rank);
    communicator_.state_->fail(
        communicator_.whoami() + ": time-out after " + seconds_text(communicator_.timeout_seconds()) +
        " at " + mine.to_string() +
        (who.empty() ? ": what was sent here is not received" : ": nothing came from rank " + who) +
        ". That rank has failed, hangs, or does not call this layer");
}

double* TreeExchange::wait() {
    if (poll()) return result_;
    const WaitTimer timer(communicator_.state_->seconds_waited);
    Deadline deadline(communicator_.timeout_seconds());
    while (!poll())
        if (communicator_.state_->time_is_up(deadline)) fail_on_time();
    return result_;
}

void TreeExchange::finish_tree() {
    for (int i = 0; i < top_.nodes(); ++i) {
        auto top = static_cast<std::size_t>(top_.slot(i));
        stack_[top] = operands_[static_cast<std::size_t>(i)];
        for (int merges = top_.merges_after(i); merges > 0; --merges, --top)
            merge_(stack_[top - 1], stack_[top]);
    }
    result_ = stack_[0];
}

}  // namespace lockstep
