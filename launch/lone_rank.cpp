#include "lone_rank.hpp"

#include <algorithm>
#include <vector>

namespace lockstep::launch {
namespace {

/// "PMI_SIZE=3 and SLURM_STEP_NUM_TASKS=3 promise 3"
std::string list(const std::vector<Announcement>& promises) {
    std::string text;
    for (const Announcement& promise : promises) text += (text.empty() ? "" : " and ") + to_string(promise);
    const Announcement& most = std::ranges::max(promises, {}, &Announcement::value);
    return text + (promises.size() == 1 ? " promises " : " promise ") + std::to_string(most.value);
}

}  // namespace

std::optional<LoneRank> find_lone_rank(const Environment& environment, int size, const std::string& library) {
    if (size != 1) return std::nullopt;
    std::vector<Announcement> promises = announced_sizes(environment);
    if (std::ranges::any_of(promises, [](const Announcement& one) { return one.value == 1; }))
        return std::nullopt;
    std::erase_if(promises, [](const Announcement& one) { return one.value < 1; });
    const bool certain = !promises.empty();
    const auto step = announced_step(environment);
    if (step && step->value > 1) promises.push_back(*step);

    std::string what;
    const auto rank = announced_rank(environment);
    if (!promises.empty())
        what = list(promises);
    else if (rank && rank->value > 0)
        what = to_string(*rank) + " promises at least " + std::to_string(rank->value + 1);
    else
        return std::nullopt;
    return LoneRank{"MPI gives this process 1 rank, but " + what +
                        ": each process works alone. Start them with the mpirun of the MPI library that "
                        "lockstep is built with (" +
                        library +
                        "), or with an srun --mpi=TYPE that it understands (srun --mpi=list); if one rank is "
                        "meant, unset the variables",
                    certain};
}

}  // namespace lockstep::launch
