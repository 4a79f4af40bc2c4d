/// Requests that were given up before they were complete, with the memory that MPI may use for them until then.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace lockstep {

/// Drives each of them by `is_done`, and removes those for which that is true.
template <class Item, class IsDone>
void remove_done(std::vector<Item>& items, IsDone is_done) {
    for (std::size_t i = 0; i < items.size();)
        if (is_done(items[i]))
            items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
        else
            ++i;
}

class Unfinished {
  public:
    /// The first `receives` requests are receives that nobody needs, and are cancelled.
    Unfinished(std::vector<MPI_Request> requests, std::shared_ptr<void> memory, std::size_t receives = 0)
        : requests_(std::move(requests)), memory_(std::move(memory)), to_cancel_(receives) {}

    /// Drives the requests; true when the memory is MPI's no more.
    bool complete() {
        for (; to_cancel_ > 0; --to_cancel_)
            if (MPI_Request& receive = requests_[to_cancel_ - 1]; receive != MPI_REQUEST_NULL)
                MPI_Cancel(&receive);
        int all = 0;
        return MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all, MPI_STATUSES_IGNORE) ==
                   MPI_SUCCESS &&
               all != 0;
    }

  private:
    std::vector<MPI_Request> requests_;
    std::shared_ptr<void> memory_;
    std::size_t to_cancel_;
};

}  // namespace lockstep
