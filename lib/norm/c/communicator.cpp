// The C interface: communicators.
#include "handles.hpp"

#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>

using namespace lockstep;
using namespace lockstep::c_interface;

namespace {

constexpr const char* place_name = "the place for the communicator";

const Communicator& communicator_of(const lockstep_communicator* handle) {
    return deref(handle, "the communicator").communicator;
}

}  // namespace

int lockstep_communicator_create(MPI_Comm parent, double timeout_seconds,
                                 lockstep_communicator** communicator) {
    return create(communicator, place_name, [&] {
        return new lockstep_communicator{Communicator(parent, {.timeout_seconds = timeout_seconds})};
    });
}

int lockstep_communicator_create_fortran(int32_t parent, double timeout_seconds,
                                         lockstep_communicator** communicator) {
    return create(communicator, place_name, [&] {
        require_mpi("a communicator");  // before MPI_Init not even handles can be translated
        const MPI_Comm translated = MPI_Comm_f2c(static_cast<MPI_Fint>(parent));
        return new lockstep_communicator{Communicator(translated, {.timeout_seconds = timeout_seconds})};
    });
}

int lockstep_communicator_create_world(double timeout_seconds, lockstep_communicator** communicator) {
    return lockstep_communicator_create(MPI_COMM_WORLD, timeout_seconds, communicator);
}

int lockstep_communicator_create_self(lockstep_communicator** communicator) {
    return create(communicator, place_name, [] { return new lockstep_communicator{Communicator::self()}; });
}

void lockstep_communicator_free(lockstep_communicator* communicator) {
    delete communicator;
}

int lockstep_communicator_rank(const lockstep_communicator* communicator, int32_t* rank) {
    return guarded([&] { deref(rank, "the place for the rank") = communicator_of(communicator).rank(); });
}

int lockstep_communicator_size(const lockstep_communicator* communicator, int32_t* size) {
    return guarded([&] { deref(size, "the place for the size") = communicator_of(communicator).size(); });
}

int lockstep_communicator_split(const lockstep_communicator* communicator, int32_t color, int32_t key,
                                lockstep_communicator** part) {
    return create(part, place_name, [&] {
        require_mpi("splitting a communicator");
        const Communicator& whole = communicator_of(communicator);
        together(whole, "splitting a communicator", [&] {
            if (color < 0)
                throw UsageError("splitting a communicator: the color is negative: " + std::to_string(color));
        });
        return new lockstep_communicator{whole.split(color, key)};
    });
}

int lockstep_communicator_check_agreement(const lockstep_communicator* communicator, const char* what,
                                          const char* key, const char* value) {
    return guarded([&] {
        const Communicator& ranks = communicator_of(communicator);
        require_mpi("comparing settings");
        for (const auto& [text, name] :
             {std::pair(what, "what"), std::pair(key, "key"), std::pair(value, "value")})
            if (text == nullptr) throw UsageError(std::string(name) + " is NULL");
        check_agreement(ranks, what, {{key, value}});
    });
}

int lockstep_communicator_announce_failure(const lockstep_communicator* communicator, const char* why) {
    return guarded([&] {
        require_mpi("announcing a failure");
        communicator_of(communicator).announce_failure(&deref(why, "the reason"));
    });
}
