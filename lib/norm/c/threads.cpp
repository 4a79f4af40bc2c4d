// The C interface: the caller's threads.
#include "handles.hpp"

using namespace lockstep;
using namespace lockstep::c_interface;

namespace {

int not_yet() {
    return report(LOCKSTEP_OTHER_ERROR, "executors are not there yet");
}

}  // namespace

int lockstep_batch_norm_set_executor(lockstep_batch_norm*, const lockstep_executor*) {
    return not_yet();
}

int lockstep_thread_pool_create(int32_t, lockstep_thread_pool**) {
    return not_yet();
}

void lockstep_thread_pool_free(lockstep_thread_pool*) {}

int lockstep_thread_pool_executor(lockstep_thread_pool*, lockstep_executor*) {
    return not_yet();
}
