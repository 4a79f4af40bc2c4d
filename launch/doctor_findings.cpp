#include "doctor_findings.hpp"

#include <algorithm>

namespace lockstep::launch {
namespace {

/// "0-3, 7"
std::string ranges(const std::vector<int>& numbers, const std::string& comma) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        text += (text.empty() ? "" : comma) + std::to_string(numbers[i]);
        if (last > i) text += "-" + std::to_string(numbers[last]);
        i = last + 1;
    }
    return text;
}

}  // namespace

std::vector<std::vector<RankFacts>> by_host(const std::vector<RankFacts>& ranks) {
    std::vector<std::vector<RankFacts>> hosts;
    for (const RankFacts& one : ranks) {
        const auto known =
            std::ranges::find_if(hosts, [&](const auto& host) { return host.front().kernel == one.kernel; });
        if (known == hosts.end())
            hosts.push_back({one});
        else
            known->push_back(one);
    }
    return hosts;
}

std::string rank_list(const std::vector<int>& ranks) {
    return (ranks.size() == 1 ? "rank " : "ranks ") + ranges(ranks, ", ");
}

std::string core_list(const std::vector<int>& cores) {
    return ranges(cores, ",");
}

}  // namespace lockstep::launch
