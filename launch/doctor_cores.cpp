/// Ranks against cores.
#include "doctor_findings.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace lockstep::launch {
namespace {

using Host = std::vector<RankFacts>;

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::vector<int> union_of(const Host& host, std::vector<int> RankFacts::*member) {
    std::set<int> all;
    for (const RankFacts& one : host) all.insert((one.*member).begin(), (one.*member).end());
    return {all.begin(), all.end()};
}

std::string value_of(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "" : found->second;
}

bool is_true(const std::string& value) {
    return !value.empty() && value != "0" && value != "false" && value != "no";
}

/// Cores per rank are what counts: threads of a rank are none of ours.
Finding judge_load(const Host& host) {
    const std::vector<int> cores = union_of(host, &RankFacts::cores);
    const std::string text = host.front().host + ": " + counted(host.size(), "rank") + " on " +
                             counted(cores.size(), "core") + " (" + core_list(cores) + ")";
    if (cores.empty())
        return {Verdict::note, "cores", host.front().host + ": which are allowed is not known", ""};
    if (host.size() <= cores.size()) return {Verdict::ok, "cores", text, ""};
    return {Verdict::warning, "cores", text + ": ranks take turns",
            "start at most " + std::to_string(cores.size()) +
                " ranks here, or ask for more cores (slots in the hostfile, --ntasks and --cpus-per-task of "
                "srun)"};
}

/// Ranks that are bound to the same few cores, though the host has others.
Findings judge_overlap(const Host& host) {
    std::map<std::vector<int>, std::vector<int>> bound;  // ranks by their cores
    for (const RankFacts& one : host) bound[one.cores].push_back(one.rank);
    Findings found;
    for (const auto& [cores, ranks] : bound)
        if (!cores.empty() && ranks.size() > cores.size() &&
            cores.size() < union_of(host, &RankFacts::cores).size())
            found.push_back({Verdict::warning, "binding",
                             host.front().host + ": " + rank_list(ranks) + " are bound to " +
                                 (cores.size() == 1 ? "core " : "cores ") + core_list(cores) +
                                 ", while others are free",
                             "bind each rank to a core of its own: mpirun --bind-to core --map-by core, srun "
                             "--cpu-bind=cores"});
    return found;
}

/// Cores that another job keeps busy: two jobs whose mpiruns know nothing of each other both bind from core 0 on.
Findings judge_others(const Host& host) {
    const std::vector<int> cores = union_of(host, &RankFacts::cores), busy = union_of(host, &RankFacts::busy);
    if (busy.empty()) return {};
    const bool room = cores.size() - busy.size() >= host.size();
    const bool bound = std::ranges::any_of(
        host, [](const RankFacts& one) { return !one.cores.empty() && one.busy.size() == one.cores.size(); });
    if (room && !bound) return {};
    const std::string text =
        host.front().host + ": another job keeps " + (busy.size() == 1 ? "core " : "cores ") +
        core_list(busy) + " busy" +
        (bound && room ? ", which ranks of this one are bound to while other cores are free" : "");
    return {{Verdict::warning, "other jobs", text,
             bound && room ? "two mpiruns on one host both bind from its first core on: give the second one "
                             "--bind-to none, or --cpu-set with cores of its own"
                           : "wait for the other job, or start fewer ranks"}};
}

/// Only Open MPI has to be told; its ranks spin while they wait, and keep the core from whom they wait for.
Findings judge_yielding(const Host& host) {
    const RankFacts& first = host.front();
    if (!first.library.starts_with("Open MPI")) return {};
    if (host.size() <= union_of(host, &RankFacts::cores).size()) return {};
    if (std::ranges::all_of(host, [](const RankFacts& one) {
            return is_true(value_of(one.environment, "OMPI_MCA_mpi_yield_when_idle"));
        }))
        return {{Verdict::ok, "yielding", first.host + ": ranks that wait leave their core to others", ""}};
    return {{Verdict::warning, "yielding",
             first.host + ": ranks that wait keep the core from those that they wait for",
             "with more ranks than cores set mpi_yield_when_idle: mpirun --mca mpi_yield_when_idle 1"}};
}

Finding judge_threads(const std::vector<RankFacts>& ranks) {
    constexpr const char* name = "OMP_NUM_THREADS";
    std::map<std::string, std::vector<int>> holders;
    for (const RankFacts& one : ranks) holders[value_of(one.environment, name)].push_back(one.rank);
    if (holders.size() > 1) {
        std::string text;
        for (const auto& [value, who] : holders)
            text +=
                (text.empty() ? "" : "; ") + (value.empty() ? "not set" : value) + " on " + rank_list(who);
        return {Verdict::warning, "threads", std::string(name) + ": " + text,
                "set it to the same on every rank: mpirun -x OMP_NUM_THREADS"};
    }
    const std::string value = holders.begin()->first;
    if (value == "1") return {Verdict::ok, "threads", "OMP_NUM_THREADS=1: one for each rank", ""};
    if (value.empty())
        return {
            Verdict::note, "threads", "OMP_NUM_THREADS is not set",
            "lockstep computes with one thread for each rank and needs it not; a program of your own that "
            "uses OpenMP may start a thread a core in every rank"};
    return {Verdict::note, "threads", "OMP_NUM_THREADS=" + value,
            "lockstep computes with one thread for each rank: more ranks, not more threads, make it faster"};
}

}  // namespace

Findings judge_cores(const std::vector<RankFacts>& ranks) {
    Findings found;
    for (const Host& host : by_host(ranks)) {
        found.push_back(judge_load(host));
        for (const Findings& more : {judge_overlap(host), judge_others(host), judge_yielding(host)})
            found.insert(found.end(), more.begin(), more.end());
    }
    found.push_back(judge_threads(ranks));
    return found;
}

Findings judge_huge_pages(const std::vector<RankFacts>& ranks) {
    Findings found;
    for (const Host& host : by_host(ranks)) {
        const std::string& pages = host.front().huge_pages;
        if (pages == "never")
            found.push_back({Verdict::note, "huge pages", host.front().host + ": off",
                             "large models gain a little from them: write madvise into "
                             "/sys/kernel/mm/transparent_hugepage/enabled"});
        else
            found.push_back({Verdict::ok, "huge pages",
                             host.front().host + ": " + (pages.empty() ? "the kernel says nothing" : pages),
                             ""});
    }
    return found;
}

}  // namespace lockstep::launch
