/// The tags of all messages that Lockstep sends, allotted in one place: on one communicator a message is told
/// from another by its tag alone.
///
/// Every communicator here is a duplicate of our own, so none of these can meet a tag of the caller's.
#pragma once

#include <lockstep/base/export.hpp>

#include <array>
#include <cstddef>

namespace lockstep::tags {

struct Range {
    int first;
    int count;

    constexpr int end() const { return first + count; }
};

/// By which a program says why it ends (the launcher's).
inline constexpr Range report{1, 1};
/// By which a rank tells that it has failed.
inline constexpr Range notice{2, 1};
/// Of the TreeExchange, one for each stage: a rank that is ahead may send for the next one.
inline constexpr Range exchange{3, 13};
/// By which a rank that works tells those that wait for it that it is alive.
inline constexpr Range heartbeat{16, 1};
/// Of measurements between two ranks.
inline constexpr Range ping{17, 1};
/// By which a rank whose time is up asks which others still wait, and they answer.
inline constexpr Range question{18, 1};
inline constexpr Range answer{19, 1};
/// The last message of a rank that lets go of a communicator that has failed; the second of them says that a
/// collective operation of MPI was given up on it.
inline constexpr Range farewell{20, 2};
/// Of sums of gradients, two for each sum: see ReplicaSum. MPI promises tags up to 32767.
inline constexpr Range sums{64, 32704};

inline constexpr std::array all{report, notice, exchange, heartbeat, ping, question, answer, farewell, sums};

constexpr bool all_differ() {
    for (std::size_t i = 1; i < all.size(); ++i)
        if (all[i - 1].count < 1 || all[i].first < all[i - 1].end()) return false;
    return all.back().end() <= 32768;
}
static_assert(all_differ(), "two kinds of messages have a tag in common, or MPI need not know it");

}  // namespace lockstep::tags
