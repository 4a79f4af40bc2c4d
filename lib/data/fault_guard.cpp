#include "fault_guard.hpp"

#include <lockstep/base/error.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <string>

namespace lockstep {
namespace {

struct Slot {
    std::atomic<std::uintptr_t> begin = 0;  // 0: free
    std::atomic<std::uintptr_t> end = 0;
    std::atomic<bool> cut = false;
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "a signal handler may use atomics without locks only");

// The handler is the process's, and so is what it looks at.
constinit std::array<Slot, 1024> slots;
constinit std::mutex slots_mutex;  // for those who take slots; never in the handler
struct sigaction previous;
std::uintptr_t page_size;

/// Puts zeros in place of the rest of the mapping that `address` is in; false if it is in none of ours.
bool replace_missing_pages(void* fault) {
    const auto address = reinterpret_cast<std::uintptr_t>(fault);
    for (Slot& slot : slots) {
        const std::uintptr_t begin = slot.begin.load();
        const std::uintptr_t end = slot.end.load();
        if (begin == 0 || address < begin || address >= end) continue;
        // Noted first: whoever sees a zero of ours also sees the note.
        slot.cut.store(true);
        char* const page = static_cast<char*>(fault) - address % page_size;
        const std::size_t rest = end - address + address % page_size;
        return ::mmap(page, rest, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    }
    return false;
}

void pass_on(int signal, siginfo_t* info, void* context) {
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(signal, info, context);
        return;
    }
    const bool sent = info->si_code <= 0;  // by kill() or raise(), not by a fault
    if (previous.sa_handler == SIG_IGN && sent) return;
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
        return;
    }
    // The instruction that has faulted runs again after this, and ends the process as it would have; the
    // kernel lets no fault be ignored. A signal that was sent comes again when this handler returns.
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &standard, nullptr);
    if (sent) ::raise(signal);
}

void handle(int signal, siginfo_t* info, void* context) {
    const int code = errno;
    const bool missing_page = info->si_code == BUS_ADRERR;
    if (!missing_page || !replace_missing_pages(info->si_addr)) pass_on(signal, info, context);
    errno = code;
}

void install() {
    page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction ours {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    // Two calls: the handler may run before the second returns.
    if (::sigaction(SIGBUS, nullptr, &previous) != 0 || ::sigaction(SIGBUS, &ours, nullptr) != 0)
        throw Error("no handler for SIGBUS can be installed, which reading files in place needs");
}

}  // namespace

FaultGuard::FaultGuard(const void* begin, std::size_t size) : slot_(0) {
    static std::once_flag installed;
    std::call_once(installed, install);
    const std::lock_guard lock(slots_mutex);
    while (slot_ < slots.size() && slots[slot_].begin.load() != 0) ++slot_;
    if (slot_ == slots.size())
        throw UsageError("more than " + std::to_string(slots.size()) + " arrays are open; close some");
    Slot& slot = slots[slot_];
    slot.cut.store(false);
    slot.end.store(reinterpret_cast<std::uintptr_t>(begin) + size);
    slot.begin.store(reinterpret_cast<std::uintptr_t>(begin));  // last: from here on the handler sees it
}

FaultGuard::~FaultGuard() {
    slots[slot_].begin.store(0);
}

bool FaultGuard::was_cut() const {
    std::atomic_thread_fence(std::memory_order_acquire);  // after the reads that it is asked about
    return slots[slot_].cut.load(std::memory_order_relaxed);
}

}  // namespace lockstep
