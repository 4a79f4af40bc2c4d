// The C interface: what concerns the library as a whole, and MPI's beginning and end.
#include "handles.hpp"

#include <lockstep/comm/session.hpp>

#include <array>

using namespace lockstep;
using namespace lockstep::c_interface;

struct lockstep_session {
    Session session;
};

namespace {

std::string& message() {
    // As errno: what failed last on this thread.
    thread_local std::string text;
    return text;
}

}  // namespace

namespace lockstep::c_interface {

int report(int code, const char* text) noexcept {
    try {
        message() = text;
    } catch (...) {  // out of memory: the code alone has to do
        message().clear();
    }
    return code;
}

void require_mpi(const char* what) {
    int initialized = 0, finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    if (!initialized || finalized)
        throw UsageError(std::string(what) + " needs MPI, which " +
                         (finalized ? "was finalized before" : "is not initialized yet"));
}

}  // namespace lockstep::c_interface

const char* lockstep_version(void) {
    return LOCKSTEP_VERSION;
}

const char* lockstep_mpi_library(void) {
    static const auto text = [] {
        std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> words{};
        int length = 0;
        MPI_Get_library_version(words.data(), &length);
        return words;
    }();
    return text.data();
}

const char* lockstep_message(void) {
    return message().c_str();
}

int lockstep_session_create(lockstep_session** session) {
    return create(session, "the place for the session", [] { return new lockstep_session; });
}

void lockstep_session_free(lockstep_session* session) {
    delete session;
}
