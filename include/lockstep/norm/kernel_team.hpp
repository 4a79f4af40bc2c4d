/// The threads that a layer's kernels are spread over, and the memory that they share.
///
/// Kernels cut their work by shape alone, into tasks whose results are put together in the order that one thread would
/// have: which threads there are changes no bit.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/executor.hpp>
#include <lockstep/base/export.hpp>

#include <cstddef>

namespace lockstep {

class LOCKSTEP_EXPORT KernelTeam {
  public:
    /// The executor outlives the team. None, or one of a single thread: the calling thread alone.
    explicit KernelTeam(Executor* executor = nullptr)
        : executor_(executor != nullptr && executor->threads() > 1 ? executor : nullptr) {}

    Executor* executor() const { return executor_; }
    bool is_alone() const { return executor_ == nullptr; }

    /// For kernels: memory that keeps nothing from call to call, and grows to what the largest of them needs.
    std::byte* scratch(std::size_t bytes);

  private:
    Executor* executor_;
    AlignedVector<std::byte> scratch_;
};

}  // namespace lockstep
