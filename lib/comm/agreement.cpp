#include <lockstep/comm/agreement.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

constexpr const char* fault_name = "fault";

struct Comparison {
    bool same = false;
    std::int64_t largest_number = 0;
};

/// Whether all ranks have the same text: one exchange of its hash. The same answer on every rank.
Comparison compare(const Communicator& communicator, std::string_view subject, const std::string& text,
                   std::int64_t number) {
    Hash64 hash;
    hash.add(text);
    const ReplicaMap map(communicator.size(), communicator.size());
    // A hash in two halves, each of them exact as a double; whether all so far were equal; the number.
    enum { low, high, equal, largest, values };
    TreeExchange exchange(communicator, map, map.all(), values, [](double* left, const double* right) {
        if (left[low] != right[low] || left[high] != right[high] || right[equal] == 0) left[equal] = 0;
        left[largest] = std::max(left[largest], right[largest]);
    });
    double* const leaf = exchange.leaf(0);
    leaf[low] = static_cast<double>(hash.value() & 0xFFFFFFFFU);
    leaf[high] = static_cast<double>(hash.value() >> 32U);
    leaf[equal] = 1;
    leaf[largest] = static_cast<double>(number);
    exchange.push(0);
    ExchangeLabel label(subject, ExchangeKind::agreement, 0, 0);
    label.call = communicator.next_call();
    exchange.start(label);
    const double* const result = exchange.wait();
    return {result[equal] != 0, static_cast<std::int64_t>(result[largest])};
}

constexpr std::size_t most_values = 4;  // in one line

using RanksOfValue = std::pair<std::string, std::vector<int>>;

/// Each value of a setting with the ranks that have it, in the order of the ranks.
std::vector<RanksOfValue> values_of(const std::vector<Settings>& all, const std::string& name) {
    std::vector<RanksOfValue> values;
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
        const auto found = std::ranges::find(all[rank], name, &Settings::value_type::first);
        const std::string value = found == all[rank].end() ? "(not set)" : found->second;
        auto same = std::ranges::find(values, value, &RanksOfValue::first);
        if (same == values.end()) same = values.insert(same, {value, {}});
        same->second.push_back(static_cast<int>(rank));
    }
    return values;
}

/// " on rank 0, 2"
std::string place_text(const Communicator& communicator, const std::vector<int>& ranks) {
    constexpr std::size_t most_ranks = 6;
    std::string text = " on rank ";
    for (std::size_t k = 0; k < std::min(ranks.size(), most_ranks); ++k)
        text += (k == 0 ? "" : ", ") + std::to_string(communicator.name(ranks[k]));
    if (ranks.size() > most_ranks) text += " and " + std::to_string(ranks.size() - most_ranks) + " more";
    return text;
}

/// "0.1 on rank 0, 2; 0.2 on rank 1"
std::string values_text(const Communicator& communicator, const std::vector<Settings>& all,
                        const std::string& name) {
    const std::vector<RanksOfValue> values = values_of(all, name);
    std::string text;
    for (std::size_t i = 0; i < std::min(values.size(), most_values); ++i)
        text += (i == 0 ? "" : "; ") + values[i].first + place_text(communicator, values[i].second);
    if (values.size() > most_values)
        text += "; and " + std::to_string(values.size() - most_values) + " other values";
    return text;
}

/// " failed on rank 1: x.npy: sample 17 is NaN", or nothing if no rank has found a fault.
std::string faults_text(const Communicator& communicator, const std::vector<Settings>& all) {
    std::vector<RanksOfValue> faults = values_of(all, fault_name);
    std::erase_if(faults, [&](const RanksOfValue& one) {
        const Settings& settings = all[static_cast<std::size_t>(one.second.front())];
        return std::ranges::find(settings, fault_name, &Settings::value_type::first) == settings.end();
    });
    std::string text;
    for (std::size_t i = 0; i < std::min(faults.size(), most_values); ++i)
        text +=
            (i == 0 ? " failed" : ";") + place_text(communicator, faults[i].second) + ": " + faults[i].first;
    return text;
}

/// The names that differ anywhere, in the order of rank 0, then of the others.
std::vector<std::string> names_that_differ(const std::vector<Settings>& all) {
    std::vector<std::string> names;
    for (const Settings& settings : all)
        for (const SettingDifference& difference : differences(all.front(), settings))
            if (std::ranges::find(names, difference.name) == names.end()) names.push_back(difference.name);
    return names;
}

/// Never returns: the ranks have different texts.
[[noreturn]] void throw_disagreement(const Communicator& communicator, std::string_view subject,
                                     const std::string& text) {
    std::vector<Settings> all;
    for (const std::string& one : communicator.all_gather(text, "comparing settings"))
        all.push_back(parse_settings(one));
    // A fault is the news: a rank that has found one may not even know the other settings.
    if (const std::string faults = faults_text(communicator, all); !faults.empty())
        throw CommunicationError(communicator.whoami() + ": " + std::string(subject) + faults);
    constexpr std::size_t most_names = 5;
    const std::vector<std::string> names = names_that_differ(all);
    std::string found;
    for (std::size_t i = 0; i < std::min(names.size(), most_names); ++i)
        found += (i == 0 ? "" : "; ") + names[i] + ": " + values_text(communicator, all, names[i]);
    if (names.size() > most_names)
        found += "; and " + std::to_string(names.size() - most_names) + " more settings";
    throw CommunicationError(communicator.whoami() + ": the ranks do not agree on " + std::string(subject) +
                             ": " + found + "; give every rank the same");
}

}  // namespace

std::int64_t check_agreement(const Communicator& communicator, std::string_view subject, Settings mine,
                             const std::string& fault, std::int64_t number) {
    if (!fault.empty()) mine.emplace_back(fault_name, fault);
    const std::string text = serialize(mine);
    const Comparison comparison = compare(communicator, subject, text, number);
    if (!comparison.same) throw_disagreement(communicator, subject, text);
    if (!fault.empty()) throw UsageError(fault);
    return comparison.largest_number;
}

void check_agreement(const Communicator& communicator, std::string_view subject, const Settings& mine) {
    check_agreement(communicator, subject, mine, "");
}

}  // namespace lockstep
