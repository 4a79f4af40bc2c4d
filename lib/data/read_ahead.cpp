#include <lockstep/data/read_ahead.hpp>

#include <sys/resource.h>

namespace lockstep {
namespace {

/// Page faults of this thread that took input from a device, so far.
long slow_faults() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_majflt;
}

/// While pages are asked for ahead there are no such faults: only so many batches later is it tried without.
constexpr int batches_after_a_fault = 64;

}  // namespace

ReadAhead::Watch::Watch(ReadAhead& owner) : owner_(owner), faults_(slow_faults()) {}

ReadAhead::Watch::~Watch() {
    if (slow_faults() > faults_)
        owner_.batches_left_ = batches_after_a_fault;
    else if (owner_.batches_left_ > 0)
        --owner_.batches_left_;
}

}  // namespace lockstep
