#include "job_environment.hpp"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <string_view>

namespace lockstep::launch {
namespace {

/// Of Open MPI, of MPICH and its kin, of MVAPICH, of jsrun.
constexpr const char* size_variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE",
                                          "JSM_NAMESPACE_SIZE"};
constexpr const char* rank_variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                          "MV2_COMM_WORLD_RANK"};

/// From here on Slurm's step numbers stand for batch scripts and interactive shells, not for steps of srun.
constexpr long first_special_step = 0xFFFFFFF0;

void add_entry(Environment& environment, std::string_view entry) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos)
        environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
}

/// Nothing if it is not set, or no number.
std::optional<Announcement> number(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    const std::string& text = found->second;
    long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return Announcement{name, value};
}

}  // namespace

Environment initial_environment() {
    Environment environment;
    std::ifstream entries("/proc/self/environ");
    for (std::string entry; std::getline(entries, entry, '\0');) add_entry(environment, entry);
    if (!environment.empty()) return environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
        add_entry(environment, *entry);
    return environment;
}

std::string to_string(const Announcement& announcement) {
    return announcement.variable + "=" + std::to_string(announcement.value);
}

std::vector<Announcement> announced_sizes(const Environment& environment) {
    std::vector<Announcement> sizes;
    for (const char* name : size_variables)
        if (const auto size = number(environment, name)) sizes.push_back(*size);
    return sizes;
}

std::optional<Announcement> announced_rank(const Environment& environment) {
    for (const char* name : rank_variables)
        if (auto rank = number(environment, name)) return rank;
    return std::nullopt;
}

std::optional<Announcement> announced_step(const Environment& environment) {
    if (auto tasks = number(environment, "SLURM_STEP_NUM_TASKS")) return tasks;
    const auto step = number(environment, "SLURM_STEP_ID");
    if (!step || step->value >= first_special_step) return std::nullopt;
    return number(environment, "SLURM_NTASKS");
}

}  // namespace lockstep::launch
