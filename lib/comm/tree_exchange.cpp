#include <lockstep/comm/tree_exchange.hpp>

#include "communicator_state.hpp"
#include "mailboxes.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/deadline.hpp>
#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>
#include <optional>

namespace lockstep {
namespace {

int tag_of(int stage_number) {
    return tags::exchange.first + stage_number;
}

std::vector<ReplicaRange> all_nodes(const ExchangeStage& stage) {
    std::vector<ReplicaRange> nodes;
    for (const ExchangePart& part : stage.parts)
        nodes.insert(nodes.end(), part.nodes.begin(), part.nodes.end());
    return nodes;
}

ExchangeLabel label_at(const std::byte* message) {
    ExchangeLabel label;
    std::memcpy(static_cast<void*>(&label), message, sizeof label);
    return label;
}

}  // namespace

TreeMerge sum_merge(std::size_t values) {
    return [values](double* left, const double* right) {
        for (std::size_t i = 0; i < values; ++i) left[i] += right[i];
    };
}

/// Somebody whose message a stage awaits.
struct TreeExchange::Peer {
    int rank = 0;
    int stage = 0;            // its number
    std::optional<int> mate;  // its index within the node, if its messages come through memory
    bool announced = false;   // … but the one of this call comes by MPI
    AlignedVector<std::byte> message;
    MPI_Request request = MPI_REQUEST_NULL;
    bool matched = false;  // its message of this call has been matched
    bool arrived = false;  // … and received
};

struct TreeExchange::Stage {
    int number = 0;
    std::vector<int> send_to;  // those of other nodes first
    std::vector<int> mates;    // the others, by their index within the node
    std::size_t by_mpi = 0;    // to how many of send_to this call's message goes by MPI
    std::vector<MPI_Request> sends;
    AlignedVector<std::byte> own;  // what is sent, but for the first stage, which sends message_
    std::byte* message = nullptr;  // either of them
    int bytes = 0;
    std::vector<Peer> peers;
    FoldPlan fold;
    std::vector<double*> operands;  // of the fold, from left to right
    std::vector<double*> joined;    // what the fold leaves
};

TreeExchange::TreeExchange(const Communicator& communicator, const ReplicaMap& map, ReplicaRange tree,
                           std::size_t values, TreeMerge merge, int direct_ranks)
    : communicator_(communicator),
      mailboxes_(state_of(communicator).mailboxes.value_or(nullptr)),
      hosted_(intersection(tree, map.block(communicator.rank()))),
      values_(values),
      merge_(std::move(merge)),
      leaves_(FoldPlan::of_leaves(tree, hosted_)) {
    if (hosted_.empty()) throw Error("tree exchange: the rank hosts no replica of the tree");
    message_.resize(message_bytes(leaves_.slots()));
    crosses_ranks_ = map.rank_of(tree.begin) != map.rank_of(tree.end - 1);
    if (!crosses_ranks_) return;
    const auto plan = plan_exchange(map, tree, communicator_.rank(), direct_ranks,
                                    mailboxes_ ? &mailboxes_->nodes() : nullptr);
    if (plan.back().number >= tags::exchange.count)
        throw Error("tree exchange: too many ranks for the tags set aside");
    stages_.reserve(plan.size());
    for (const ExchangeStage& stage : plan) {
        stages_.push_back(make_stage(stage, tree, message_));
        stack_.resize(std::max(stack_.size(), static_cast<std::size_t>(stages_.back().fold.slots())));
    }
}

std::size_t TreeExchange::message_bytes(int nodes) const {
    const std::size_t bytes =
        sizeof(ExchangeLabel) + static_cast<std::size_t>(nodes) * values_ * sizeof(double);
    if (bytes > INT_MAX) throw UsageError("too many channels for one exchange: a message would exceed 2 GiB");
    return bytes;
}

double* TreeExchange::node(AlignedVector<std::byte>& message, int k) const {
    return reinterpret_cast<double*>(message.data() + sizeof(ExchangeLabel)) +
           static_cast<std::size_t>(k) * values_;
}

auto TreeExchange::make_stage(const ExchangeStage& plan, ReplicaRange tree, AlignedVector<std::byte>& first)
    -> Stage {
    Stage stage{.number = plan.number,
                .send_to = {},
                .mates = {},
                .by_mpi = 0,
                .sends = {},
                .own = {},
                .peers = {},
                .fold = FoldPlan(tree, all_nodes(plan)),
                .operands = {},
                .joined = {}};
    stage.peers.reserve(plan.parts.size());
    for (const ExchangePart& part : plan.parts) {
        const int nodes = static_cast<int>(part.nodes.size());
        AlignedVector<std::byte>* message = &first;
        if (part.rank != communicator_.rank()) {
            Peer& peer = stage.peers.emplace_back();
            peer.rank = part.rank;
            peer.stage = plan.number;
            if (mailboxes_) peer.mate = mailboxes_->mate(part.rank);
            peer.message.resize(message_bytes(nodes));
            message = &peer.message;
        } else {
            if (!stages_.empty()) {
                stage.own.resize(message_bytes(nodes));
                message = &stage.own;
            }
            stage.message = message->data();
            stage.bytes = static_cast<int>(message_bytes(nodes));
        }
        for (int k = 0; k < nodes; ++k) stage.operands.push_back(node(*message, k));
    }
    stage.joined.resize(static_cast<std::size_t>(stage.fold.remaining()));
    stage.send_to = plan.send_to;
    if (mailboxes_) {
        auto mate = std::stable_partition(stage.send_to.begin(), stage.send_to.end(),
                                          [this](int rank) { return !mailboxes_->mate(rank).has_value(); });
        for (; mate != stage.send_to.end(); ++mate) stage.mates.push_back(*mailboxes_->mate(*mate));
    }
    stage.sends.assign(stage.send_to.size(), MPI_REQUEST_NULL);
    return stage;
}

TreeExchange::~TreeExchange() {
    if (!crosses_ranks_) return;
    CommunicatorState& state = state_of(communicator_);
    const Inside inside = Inside::sooner_or_later(state);
    if (!under_way_) return;
    std::erase(state.in_flight, this);
    std::vector<MPI_Request> requests;
    for (const Stage& stage : stages_) {
        requests.insert(requests.end(), stage.sends.begin(), stage.sends.end());
        for (const Peer& peer : stage.peers) requests.push_back(peer.request);
    }
    const std::string what = label().to_string();
    const auto memory = std::make_shared<std::pair<AlignedVector<std::byte>, std::vector<Stage>>>(
        std::move(message_), std::move(stages_));
    state.give_up(what, {std::move(requests), memory});
}

void TreeExchange::push(int i) {
    leaves_.push(i, [this](int left, int right) { merge_(slot(left), slot(right)); });
}

void TreeExchange::start(const ExchangeLabel& label) {
    if (!crosses_ranks_) {
        result_ = slot(0);
        return;
    }
    const Inside inside(communicator_);
    state_of(communicator_).check_usable();
    if (under_way_)
        throw UsageError("an exchange was started again before it had ended: " + label.to_string());
    result_ = nullptr;
    std::memcpy(message_.data(), &label, sizeof label);
    for (Stage& stage : stages_)
        for (Peer& peer : stage.peers) peer.announced = peer.matched = peer.arrived = false;
    stage_ = 0;
    stage_sent_ = false;
    under_way_ = true;
    state_of(communicator_).in_flight.push_back(this);
    if (may_send()) send_stage();
}

bool TreeExchange::poll() {
    if (!crosses_ranks_) return result_ != nullptr;
    const Inside inside(communicator_);
    return drive();
}

bool TreeExchange::drive() {
    if (!under_way_) return result_ != nullptr;
    // What arrives from a rank belongs to the exchange that was started first: those before this one go
    // first.
    auto& queue = state_of(communicator_).in_flight;
    for (std::size_t i = 0; i < queue.size();) {
        TreeExchange* const exchange = queue[i];
        exchange->advance();
        if (exchange->under_way_)
            ++i;
        else
            queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(i));
        if (exchange == this) break;
    }
    return !under_way_;
}

void TreeExchange::advance() {
    for (;;) {
        if (!stage_sent_) {
            if (!may_send() || !send_stage()) return;
        }
        if (!receive_stage()) return;
        finish_stage();
        if (!under_way_) return;
    }
}

bool TreeExchange::may_send() const {
    // Messages with one tag are told apart by their order: exchanges send for a stage in the order of their
    // start.
    for (const TreeExchange* earlier : state_of(communicator_).in_flight) {
        if (earlier == this) return true;
        const int reached = earlier->stages_[earlier->stage_].number;
        const int wanted = stages_[stage_].number;
        if (reached < wanted || (reached == wanted && !earlier->stage_sent_)) return false;
    }
    return true;
}

bool TreeExchange::send_stage() {
    Stage& stage = stages_[stage_];
    stage.by_mpi = stage.send_to.size() - stage.mates.size();
    if (!stage.mates.empty()) {
        const auto outcome = mailboxes_->post(stage.number, stage.mates,
                                              {stage.message, static_cast<std::size_t>(stage.bytes)});
        if (outcome == Mailboxes::Outcome::lane_full) return false;
        if (outcome == Mailboxes::Outcome::announced) stage.by_mpi = stage.send_to.size();
    }
    for (std::size_t i = 0; i < stage.by_mpi; ++i)
        communicator_.check(MPI_Isend(stage.message, stage.bytes, MPI_BYTE, stage.send_to[i],
                                      tag_of(stage.number), communicator_.handle(), &stage.sends[i]),
                            "sending statistics");
    stage_sent_ = true;
    return true;
}

bool TreeExchange::receive_stage() {
    Stage& stage = stages_[stage_];
    bool complete = true;
    for (Peer& peer : stage.peers) {
        if (peer.arrived) continue;
        if (!peer.matched && is_next_for(peer)) receive(peer);
        if (peer.arrived) continue;
        int done = 0;
        if (peer.matched)
            communicator_.check(MPI_Test(&peer.request, &done, MPI_STATUS_IGNORE), "receiving statistics");
        if (!done) {
            complete = false;
            continue;
        }
        check_label(peer, label_at(peer.message.data()));
        peer.arrived = true;
    }
    if (!complete) return false;
    if (stage.by_mpi == 0) return true;
    // Joining writes over what was sent.
    int sent = 0;
    communicator_.check(
        MPI_Testall(static_cast<int>(stage.by_mpi), stage.sends.data(), &sent, MPI_STATUSES_IGNORE),
        "sending statistics");
    return sent != 0;
}

bool TreeExchange::awaits(int rank, int stage_number) const {
    for (std::size_t i = stage_; i < stages_.size(); ++i)
        if (stages_[i].number == stage_number)
            return std::ranges::any_of(
                stages_[i].peers, [rank](const Peer& peer) { return peer.rank == rank && !peer.matched; });
    return false;
}

bool TreeExchange::is_next_for(const Peer& peer) const {
    for (const TreeExchange* earlier : state_of(communicator_).in_flight) {
        if (earlier == this) break;
        if (earlier->awaits(peer.rank, peer.stage)) return false;
    }
    return true;
}

void TreeExchange::receive(Peer& peer) {
    if (peer.mate && !peer.announced) take_letter(peer);
    if (!peer.mate || peer.announced) match(peer);
}

void TreeExchange::take_letter(Peer& peer) {
    const auto letter = mailboxes_->next(peer.stage, *peer.mate);
    if (!letter) return;
    peer.announced = letter->data == nullptr;
    if (!peer.announced) {
        if (letter->bytes != peer.message.size())
            fail_on_size(peer, peer.message.size(), letter->data, letter->bytes);
        std::memcpy(peer.message.data(), letter->data, letter->bytes);
        peer.matched = peer.arrived = true;
    }
    mailboxes_->take(peer.stage, *peer.mate);
    if (peer.arrived) check_label(peer, label_at(peer.message.data()));
}

void TreeExchange::match(Peer& peer) {
    // A matched probe tells the size before anything is received: a message of another size is no accident
    // that MPI reports by truncation on one rank only, but a disagreement that we can name.
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    communicator_.check(
        MPI_Improbe(peer.rank, tag_of(peer.stage), communicator_.handle(), &found, &message, &status),
        "awaiting statistics");
    if (!found) return;
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (bytes != static_cast<int>(peer.message.size())) fail_on_size(peer, message, bytes);
    communicator_.check(MPI_Imrecv(peer.message.data(), bytes, MPI_BYTE, &message, &peer.request),
                        "receiving statistics");
    peer.matched = true;
}

void TreeExchange::finish_stage() {
    Stage& stage = stages_[stage_];
    stage.fold.fold(
        stack_.data(), [&](int i) { return stage.operands[static_cast<std::size_t>(i)]; },
        [this](double* left, const double* right, FoldPlace) {
            merge_(left, right);
            return left;
        });
    std::copy_n(stack_.begin(), stage.joined.size(), stage.joined.begin());
    ++stage_;
    stage_sent_ = false;
    if (stage_ == stages_.size()) {
        result_ = stage.joined.front();
        under_way_ = false;
        return;
    }
    Stage& next = stages_[stage_];
    if (next.message == nullptr) return;  // only receives the result
    std::memcpy(next.message, message_.data(), sizeof(ExchangeLabel));
    for (int k = 0; k < static_cast<int>(stage.joined.size()); ++k)
        std::copy_n(stage.joined[static_cast<std::size_t>(k)], values_, node(next.own, k));
}

ExchangeLabel TreeExchange::label() const {
    return label_at(message_.data());
}

void TreeExchange::check_label(const Peer& peer, const ExchangeLabel& theirs) const {
    const ExchangeLabel mine = label();
    if (mine == theirs) return;
    state_of(communicator_)
        .fail(communicator_.whoami() + ": ranks disagree: rank " +
              std::to_string(communicator_.name(communicator_.rank())) + " is at " + mine.to_string() +
              "; rank " + std::to_string(communicator_.name(peer.rank)) + " is at " + theirs.to_string() +
              ". All ranks must make the same calls in the same order (layers without a "
              "name are told apart by the order of their construction: name them)");
}

void TreeExchange::fail_on_size(Peer& peer, MPI_Message message, int bytes) {
    const std::size_t due = peer.message.size();
    peer.message.resize(std::max(static_cast<std::size_t>(bytes), sizeof(ExchangeLabel)));
    communicator_.check(MPI_Imrecv(peer.message.data(), bytes, MPI_BYTE, &message, &peer.request),
                        "receiving statistics");
    TimedWait wait(state_of(communicator_));
    for (int done = 0; !done;) {
        communicator_.check(MPI_Test(&peer.request, &done, MPI_STATUS_IGNORE), "receiving statistics");
        if (!done && wait.time_is_up()) fail_on_time();
    }
    fail_on_size(peer, due, peer.message.data(), static_cast<std::size_t>(bytes));
}

void TreeExchange::fail_on_size(const Peer& peer, std::size_t due, const std::byte* message,
                                std::size_t bytes) {
    const ExchangeLabel theirs = label_at(message);
    check_label(peer, theirs);
    state_of(communicator_)
        .fail(communicator_.whoami() + ": rank " + std::to_string(communicator_.name(peer.rank)) + " sends " +
              std::to_string(bytes) + " bytes where " + std::to_string(due) + " are due, at " +
              theirs.to_string() + ": the ranks have different numbers of replicas");
}

void TreeExchange::fail_on_time() {
    const ExchangeLabel mine = label();
    Stage& stage = stages_[stage_];
    std::vector<int> silent, deaf;
    for (const Peer& peer : stage.peers)
        if (!peer.arrived) silent.push_back(peer.rank);
    // A message too long to be buffered is not sent before it is received.
    if (!stage_sent_ && mailboxes_) deaf = mailboxes_->ranks_with_letters();
    for (std::size_t i = 0; i < stage.sends.size(); ++i) {
        int sent = 0;
        MPI_Test(&stage.sends[i], &sent, MPI_STATUS_IGNORE);
        if (!sent) deaf.push_back(stage.send_to[i]);
    }
    CommunicatorState& state = state_of(communicator_);
    const std::string who = state.ranks_text(state.those_without_answer(silent.empty() ? deaf : silent));
    state.fail(communicator_.whoami() + ": time-out after " + seconds_text(communicator_.timeout_seconds()) +
               " at " + mine.to_string() + ": " +
               (silent.empty() ? "what was sent is not received by " : "nothing came from ") + who +
               ", which has failed, hangs, or took another way");
}

double* TreeExchange::wait() {
    if (!crosses_ranks_) return result_;
    const Inside inside(communicator_);
    if (drive()) return result_;
    TimedWait wait(state_of(communicator_));
    while (!drive())
        if (wait.time_is_up()) fail_on_time();
    return result_;
}

}  // namespace lockstep
