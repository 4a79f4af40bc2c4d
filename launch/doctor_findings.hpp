/// What `lockstep doctor` finds, and what it makes of the facts that each rank tells of itself. Judging them needs no
/// MPI.
#pragma once

#include "job_environment.hpp"

#include <string>
#include <vector>

namespace lockstep::launch {

enum class Verdict { ok, note, warning, error };

struct Finding {
    Verdict verdict = Verdict::ok;
    std::string subject;  ///< a word or two
    std::string text;     ///< what there is
    std::string advice;   ///< what to do about it; empty if there is nothing to do
};

using Findings = std::vector<Finding>;

/// What one rank sees of its machine and of itself.
struct RankFacts {
    int rank = 0;
    std::string host;  ///< its name
    std::string
        kernel;  ///< its boot id: containers of one machine have names of their own, and the same cores
    std::string version, library;           ///< of Lockstep, and of MPI
    std::string kernels, products, forced;  ///< instruction sets by name; `forced` may be empty
    std::vector<int> cores;                 ///< that it may run on
    std::vector<int> busy;                  ///< of them, those that others keep busy while this job sleeps
    std::string huge_pages;                 ///< always, madvise or never; empty if the kernel says nothing
    Environment environment;                ///< of what is asked here, what is set
};

/// The ranks of each machine, in the order of their first ranks.
std::vector<std::vector<RankFacts>> by_host(const std::vector<RankFacts>& ranks);

/// "rank 3", "ranks 0-2, 7"; `ranks` in rising order.
std::string rank_list(const std::vector<int>& ranks);

/// "0-3,8"
std::string core_list(const std::vector<int>& cores);

/// Lockstep and MPI: one version everywhere, started by the mpirun of that MPI.
Findings judge_versions(const std::vector<RankFacts>& ranks);
/// Which instruction set each rank has, and the one that all use.
Findings judge_instruction_sets(const std::vector<RankFacts>& ranks);
/// Ranks against cores; ranks and jobs that share cores; waiting ranks that do not yield; threads.
Findings judge_cores(const std::vector<RankFacts>& ranks);
/// Whether large arrays get large pages.
Findings judge_huge_pages(const std::vector<RankFacts>& ranks);

}  // namespace lockstep::launch
