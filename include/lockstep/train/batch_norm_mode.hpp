/// Over whose values batch norm takes its statistics: `local`, `group:K` or `sync`.
#pragma once

#include <lockstep/base/export.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

enum class StatisticsScope {
    local,  ///< each replica's own
    group,  ///< K neighbouring replicas'
    sync,   ///< all replicas'
};

struct LOCKSTEP_EXPORT BatchNormMode {
    StatisticsScope scope = StatisticsScope::sync;
    int group = 1;  ///< K, where the scope is `group`

    /// Replicas in a statistics group, of `replicas` in all.
    int group_size(int replicas) const;
    std::string to_string() const;
    /// "local", "group:4" or "sync". Throws UsageError on anything else.
    static BatchNormMode parse(std::string_view text);
};

/// The weight of the newest batch in the running averages: a number, or "cumulative" (std::nullopt).
LOCKSTEP_EXPORT std::optional<double> parse_running_momentum(std::string_view text);
LOCKSTEP_EXPORT std::string running_momentum_to_string(std::optional<double> momentum);

}  // namespace lockstep
