/// Versions, and whether mpirun belongs to the MPI that is linked.
#include "doctor_findings.hpp"
#include "lone_rank.hpp"

#include <algorithm>
#include <map>

namespace lockstep::launch {
namespace {

/// One finding over a text that all ranks should have in common.
Finding same_everywhere(const std::vector<RankFacts>& ranks, std::string RankFacts::*member,
                        const std::string& subject) {
    std::map<std::string, std::vector<int>> holders;
    for (const RankFacts& one : ranks) holders[one.*member].push_back(one.rank);
    if (holders.size() == 1) return {Verdict::ok, subject, ranks.front().*member, ""};
    std::string text;
    for (const auto& [value, who] : holders)
        text += (text.empty() ? "" : "; ") + value + " on " + rank_list(who);
    return {
        Verdict::error, subject, text,
        "start the same installation on all hosts: its folder, PATH and LD_LIBRARY_PATH must be the same"};
}

Finding judge_launcher(const std::vector<RankFacts>& ranks) {
    const RankFacts& first = ranks.front();
    const auto size = static_cast<int>(ranks.size());
    if (const auto alone = find_lone_rank(first.environment, size, first.library))
        return {alone->certain ? Verdict::error : Verdict::warning, "launcher", alone->text, ""};
    const std::vector<Announcement> sizes = announced_sizes(first.environment);
    const auto other = std::ranges::find_if(sizes, [&](const auto& one) { return one.value != size; });
    if (other != sizes.end())
        return {
            Verdict::note, "launcher",
            to_string(*other) + ", but MPI has " + std::to_string(size) + (size == 1 ? " rank" : " ranks"),
            "if that is not what you meant, start with the mpirun of " + first.library};
    if (!sizes.empty())
        return {Verdict::ok, "launcher", to_string(sizes.front()) + ", and so many ranks MPI has", ""};
    if (const auto step = announced_step(first.environment))
        return {Verdict::ok, "launcher", "srun: " + to_string(*step), ""};
    return {Verdict::note, "launcher", "none: this process was started by itself",
            "to see several ranks, start it as mpirun -n RANKS lockstep doctor"};
}

}  // namespace

Findings judge_versions(const std::vector<RankFacts>& ranks) {
    return {same_everywhere(ranks, &RankFacts::version, "Lockstep"),
            same_everywhere(ranks, &RankFacts::library, "MPI"), judge_launcher(ranks)};
}

}  // namespace lockstep::launch
