/// How the ranks of a node hand each other short messages: through memory that they share, without a call of MPI.
///
/// Each ordered pair of mates has a lane for every stage of an exchange, as MPI has a tag for every stage: letters of a
/// lane arrive in the order in which they were posted. A letter's bytes lie once in its sender's ring, for all whom it
/// is for; the lanes say where.
///
/// Why nobody overwrites what another still reads, or reads what is not written yet:
///  - A line of the memory is written by one rank alone: `Posted` by the sender of the lane, `Taken` by its receiver.
///  - The sender writes the letter, then its place in `Posted`, then the counter with release order. The receiver sees
///    the counter with acquire order, so it sees the place and the letter.
///  - The receiver copies the letter and then counts it in `Taken` with release order. The sender writes over a place,
///    or over the letter's bytes in the ring, only after it has seen with acquire order that all its receivers have
///    counted it: their reads have happened before.
///  - Counters only rise (64 bits do not wrap), and the memory starts as zeros.
///
/// Why nobody waits forever: a lane is filled in the order in which exchanges were started, so what an exchange waits for
/// in it belongs to earlier ones, which end without it. The ring has no such order: letters of later exchanges may fill
/// it while an earlier one still has to send. So nobody waits for room there: the letter goes by MPI.
#pragma once

#include <lockstep/comm/communicator.hpp>
#include <lockstep/comm/node_memory.hpp>
#include <lockstep/comm/nodes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace lockstep {

/// Of one communicator. Mates go by their index within the node (see Nodes::mates).
class Mailboxes {
  public:
    /// Longer letters go by MPI.
    static constexpr std::size_t longest = std::size_t{128} << 10;

    /// Collective. Null, the same on every rank, if no two ranks share memory.
    static std::shared_ptr<Mailboxes> create(const Communicator& communicator);

    /// Nodes whose ranks have such boxes.
    const Nodes& nodes() const { return *nodes_; }
    /// A rank's index within this rank's node; none on another node.
    std::optional<int> mate(int rank) const;

    enum class Outcome {
        posted,
        announced,  ///< there is no room for the letter: the sender lets a message of MPI's follow
        lane_full,  ///< nothing is posted: to be tried again, for receivers take what is there
    };
    /// Posts a letter to all the receivers.
    Outcome post(int lane, std::span<const int> receivers, std::span<const std::byte> letter);

    struct Letter {
        const std::byte* data;  ///< null: it is announced, and comes by MPI
        std::size_t bytes;
    };
    /// The first letter of the lane that is not taken yet.
    std::optional<Letter> next(int lane, int sender) const;
    /// The first letter has been read: its memory is the sender's again.
    void take(int lane, int sender);

    /// The ranks that have not taken all that was posted for them.
    std::vector<int> ranks_with_letters();

  private:
    struct Posted;
    struct Taken;
    struct Pair;

    /// What this rank knows of a lane to a mate and of the one back.
    struct Lane {
        std::uint64_t posted = 0;
        std::uint64_t seen_taken = 0;  // as far as this rank has looked
        std::uint64_t taken = 0;       // of what came back
    };
    /// The ring is two halves, used in turns: one is written anew when all that lay there has been taken.
    struct Half {
        std::vector<std::uint64_t> posted;  // by lane, when it was left
    };

    Mailboxes(NodeMemory memory, std::shared_ptr<const Nodes> nodes);

    std::size_t number(int lane, int mate) const;
    Pair& pair(int owner, int lane, int mate) const;
    Posted& posted(int owner, int lane, int receiver) const;
    Taken& taken(int owner, int lane, int sender) const;
    std::byte* ring(int owner) const;
    bool all_taken(std::size_t lane_number, std::uint64_t count);
    bool is_free(const Half& half);
    std::optional<std::size_t> allocate(std::size_t bytes);

    NodeMemory memory_;
    std::shared_ptr<const Nodes> nodes_;
    std::vector<Lane> lanes_;
    std::array<Half, 2> halves_;
    std::size_t half_ = 0;
    std::size_t used_ = 0;  // of the half at hand
};

}  // namespace lockstep
