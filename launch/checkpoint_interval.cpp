#include "checkpoint_interval.hpp"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace lockstep::launch {
namespace {

using Unit = CheckpointInterval::Unit;

/// The first name of a unit is the one that is written; of epochs, which are meant where nothing is said, none is.
constexpr std::array<std::pair<std::string_view, Unit>, 8> unit_names{{{"", Unit::epochs},
                                                                       {"epoch", Unit::epochs},
                                                                       {"epochs", Unit::epochs},
                                                                       {"steps", Unit::steps},
                                                                       {"step", Unit::steps},
                                                                       {"s", Unit::seconds},
                                                                       {"min", Unit::minutes},
                                                                       {"h", Unit::hours}}};

CheckpointInterval parse_interval(const std::string& text) {
    CheckpointInterval interval;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), interval.count);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    if (error == std::errc() && interval.count >= 1)
        for (const auto& [name, value] : unit_names)
            if (name == unit) {
                interval.unit = value;
                return interval;
            }
    throw UsageError("'" + text +
                     "' is not how often: a whole number from 1 of epochs, or such as 500steps, 10min, 2h");
}

std::string interval_to_string(const CheckpointInterval& interval) {
    for (const auto& [name, value] : unit_names)
        if (value == interval.unit) return std::to_string(interval.count) + std::string(name);
    return {};
}

}  // namespace

TextForm<CheckpointInterval> checkpoint_interval_text() {
    return {"N[steps|min]", parse_interval, interval_to_string};
}

bool is_due(const CheckpointInterval& interval, const RunProgress& progress) {
    using std::chrono::duration;
    const double seconds = duration<double>(progress.since_last).count();
    const auto count = static_cast<double>(interval.count);
    switch (interval.unit) {
        case Unit::epochs:
            return progress.epoch_ended && progress.epoch % interval.count == 0;
        case Unit::steps:
            return progress.step % interval.count == 0;
        case Unit::seconds:
            return seconds >= count;
        case Unit::minutes:
            return seconds >= 60 * count;
        case Unit::hours:
            break;
    }
    return seconds >= 3600 * count;
}

}  // namespace lockstep::launch
