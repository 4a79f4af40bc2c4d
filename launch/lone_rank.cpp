#include "lone_rank.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

namespace lockstep::launch {
namespace {

/// How many ranks mpirun, mpiexec or srun has started: of Open MPI, of MPICH and its kin, of MVAPICH, of
/// jsrun.
constexpr const char* size_variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE",
                                          "JSM_NAMESPACE_SIZE"};
/// Which of them this one is, where none of those is there.
constexpr const char* rank_variables[] = {"PMIX_RANK", "PMI_RANK"};

/// From here on Slurm's step numbers stand for batch scripts and interactive shells, not for steps of srun.
constexpr long first_special_step = 0xFFFFFFF0;

/// Nothing if it is not set, or no number.
std::optional<long> number(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    const std::string& text = found->second;
    long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

struct Promise {
    std::string variable;
    long ranks = 0;
};

/// What srun says of the step that this process is a task of.
std::optional<Promise> promise_of_step(const Environment& environment) {
    if (const auto tasks = number(environment, "SLURM_STEP_NUM_TASKS"))
        return Promise{"SLURM_STEP_NUM_TASKS=" + std::to_string(*tasks), *tasks};
    const auto step = number(environment, "SLURM_STEP_ID");
    const auto tasks = number(environment, "SLURM_NTASKS");
    if (!step || *step >= first_special_step || !tasks) return std::nullopt;
    return Promise{"SLURM_NTASKS=" + std::to_string(*tasks), *tasks};
}

/// All that promise more than one rank; none if a launcher says that one is meant.
std::vector<Promise> promises_of(const Environment& environment) {
    std::vector<Promise> promises;
    for (const std::string name : size_variables) {
        const auto ranks = number(environment, name);
        if (ranks == 1) return {};
        if (ranks && *ranks > 1) promises.push_back({name + "=" + std::to_string(*ranks), *ranks});
    }
    const auto step = promise_of_step(environment);
    if (step && step->ranks > 1) promises.push_back(*step);
    if (!promises.empty()) return promises;
    for (const std::string name : rank_variables) {
        const auto rank = number(environment, name);
        if (rank && *rank > 0) promises.push_back({name + "=" + std::to_string(*rank), *rank + 1});
    }
    return promises;
}

}  // namespace

Environment current_environment() {
    Environment environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos)
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

std::optional<std::string> lone_rank_warning(const Environment& environment, int size,
                                             const std::string& library) {
    if (size != 1) return std::nullopt;
    const std::vector<Promise> promises = promises_of(environment);
    if (promises.empty()) return std::nullopt;
    std::string variables;
    for (const Promise& one : promises) variables += (variables.empty() ? "" : " and ") + one.variable;
    const long ranks = std::ranges::max(promises, {}, &Promise::ranks).ranks;
    return "MPI gives this process 1 rank, but " + variables +
           (promises.size() == 1 ? " promises " : " promise ") + std::to_string(ranks) +
           ": each process works alone. Start them with the mpirun of the MPI library that lockstep is built "
           "with (" +
           library +
           "), or with an srun --mpi=TYPE that it understands (srun --mpi=list); if one rank is meant, unset "
           "the variables";
}

}  // namespace lockstep::launch
