/// The instruction set of each rank, and the one that all use.
#include "doctor_findings.hpp"

#include <lockstep/simd/instruction_set.hpp>

#include <algorithm>
#include <map>

namespace lockstep::launch {
namespace {

/// "avx512 on rank 0; avx2 on ranks 1-3"
std::string holders(const std::vector<RankFacts>& ranks, std::string RankFacts::*member) {
    std::map<std::string, std::vector<int>> who;
    for (const RankFacts& one : ranks) who[one.*member].push_back(one.rank);
    if (who.size() == 1) return who.begin()->first;
    std::string text;
    for (const auto& [name, list] : who) text += (text.empty() ? "" : "; ") + name + " on " + rank_list(list);
    return text;
}

bool all_same(const std::vector<RankFacts>& ranks, std::string RankFacts::*member) {
    return std::ranges::all_of(ranks, [&](const auto& one) { return one.*member == ranks.front().*member; });
}

/// The narrowest that any rank has for products, by the order of the enumeration.
std::string narrowest(const std::vector<RankFacts>& ranks) {
    for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512})
        for (const RankFacts& one : ranks)
            if (one.products == to_string(set)) return one.products;
    return ranks.front().products;
}

}  // namespace

Findings judge_instruction_sets(const std::vector<RankFacts>& ranks) {
    if (!all_same(ranks, &RankFacts::forced)) {
        std::vector<RankFacts> named = ranks;
        for (RankFacts& one : named)
            if (one.forced.empty()) one.forced = "nothing";
        return {{Verdict::error, "instructions",
                 "LOCKSTEP_INSTRUCTION_SET is " + holders(named, &RankFacts::forced),
                 "set it to the same on every rank (mpirun -x LOCKSTEP_INSTRUCTION_SET), or on none"}};
    }
    const std::string kernels = holders(ranks, &RankFacts::kernels);
    const bool same = all_same(ranks, &RankFacts::products);
    const bool uniform = same && all_same(ranks, &RankFacts::kernels);
    std::string text = "kernels " + kernels + "; matrix products " + holders(ranks, &RankFacts::products);
    if (!same) text += ", so that all use " + narrowest(ranks);
    if (!ranks.front().forced.empty()) text += " (forced by LOCKSTEP_INSTRUCTION_SET)";
    return {{uniform ? Verdict::ok : Verdict::note, "instructions", text,
             uniform ? "" : "the slowest host sets the pace: give jobs hosts of one kind if you can"}};
}

}  // namespace lockstep::launch
