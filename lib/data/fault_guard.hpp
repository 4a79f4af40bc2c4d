/// Mapped files that are cut while they are read: an error where the kernel would end the process.
///
/// Touching a mapped page that its file no longer has raises SIGBUS. At the first guarded mapping a handler
/// for SIGBUS is installed, once and for the whole process. For a fault inside a guarded mapping it puts
/// pages of zeros in the place of what is missing and notes that; the reader goes on, and is to ask
/// was_cut() before it believes what it has read. Every other SIGBUS goes to the handler that was there
/// before, or ends the process as it would have without us. Wayland's wl_shm_buffer_begin_access is the model.
///
/// A program with a SIGBUS handler of its own installs it before the first array is opened, or passes on
/// what is not its own. The handler calls only what is async-signal-safe, and mmap, which on Linux is.
#pragma once

#include <cstddef>

namespace lockstep {

/// Guards the mapping [begin, begin + size) while it lives; it must end before the mapping does.
class FaultGuard {
  public:
    /// Throws UsageError if there are more than 1024 at a time.
    FaultGuard(const void* begin, std::size_t size);
    ~FaultGuard();
    FaultGuard(const FaultGuard&) = delete;
    FaultGuard& operator=(const FaultGuard&) = delete;

    /// Whether a page was missing since the mapping is guarded. What this thread read before it asks is what
    /// the file held if the answer is no.
    bool was_cut() const;

  private:
    std::size_t slot_;
};

}  // namespace lockstep
