/// Arrays that the ranks of a node own together, and the meetings of those who write them.
///
/// Such an array has two sides. A rank *sees* it where it always lay: private views of the node's memory, of which the
/// system copies a page once the rank writes there. What a rank writes is therefore its own, as if nothing were shared:
/// ranks that write different values can compare them, and what all of them do alike is not done to the node's values
/// once for each rank. And the node *has* it, once, in memory that all write: each rank its share, between two meetings.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/paged_array.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/comm/communicator.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

class LOCKSTEP_EXPORT NodeArrays {
  public:
    /// Values [begin, end) of an array.
    struct Share {
        Index begin = 0;
        Index end = 0;
    };

    /// Collective: makes arrays the node's, which outlive this object. The node has what its first rank holds; what another
    /// one holds beside that stays its own, as if it had been written afterwards. Null, alike on all ranks, and nothing has
    /// changed but whose memory it is, where no two ranks share a node or one of them cannot share its memory. Throws
    /// CommunicationError, alike on all ranks, where the sizes differ, and after the time-out.
    static std::unique_ptr<NodeArrays> share(const Communicator& communicator,
                                             std::vector<PagedMemory*> arrays);
    ~NodeArrays();

    /// What the node has of array i: for this rank's share to be written between two meetings.
    template <class Value>
    Value* node(std::size_t i) const {
        return reinterpret_cast<Value*>(node_side(i));
    }
    /// What this rank is to write of an array of so many values: no two ranks write to one page.
    template <class Value>
    Share share_of(Index values) const {
        return share_of(values, sizeof(Value));
    }

    /// What a rank brings to a meeting.
    using Brought = std::array<std::uint64_t, 3>;
    /// Waits for all ranks of the node: what they wrote before is then seen by all. What each of them has brought, valid
    /// until the next meeting. Throws CommunicationError after the time-out, naming those that did not come to `what`.
    const std::vector<Brought>& meet(const char* what, const Brought& brought = {});
    /// Ends in a CommunicationError on all ranks if the numbers at `place` differ; `text` shows one.
    void require_same(const char* subject, std::size_t place,
                      const std::function<std::string(std::uint64_t)>& text) const;

    /// Whether this rank has written where it sees, since share or renew, be it with the values that were there.
    bool was_written() const;
    /// Writes what this rank sees of its share to the node's.
    void publish() const;
    /// After all have published and met: this rank sees what the node has.
    void renew() const;

  private:
    struct Memory;
    struct Counters;

    NodeArrays(const Communicator& communicator, std::unique_ptr<Memory> memory);
    Counters& counters(int member) const;
    std::byte* node_side(std::size_t i) const;
    Share share_of(Index values, std::size_t value_bytes) const;

    Communicator communicator_;
    std::unique_ptr<Memory> memory_;
    std::vector<int> mates_;
    int me_;  // in mates_
    std::uint64_t meetings_ = 0;
    std::vector<Brought> brought_;
};

}  // namespace lockstep
