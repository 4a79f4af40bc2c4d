/// Named settings as texts: what ranks, or a run and its continuation, compare before they rely on it.
#pragma once

#include <lockstep/base/export.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

/// Names and values in an order of their owner's choice. Each name occurs once.
using Settings = std::vector<std::pair<std::string, std::string>>;

/// One setting that two lists do not have in common. A value is "(not set)" if its list lacks the name.
struct SettingDifference {
    std::string name;
    std::string left;
    std::string right;
};

/// What differs between two lists, in the order of `left`, then what only `right` has.
LOCKSTEP_EXPORT std::vector<SettingDifference> differences(const Settings& left, const Settings& right);

/// What has changed from one list to the other, for a message: "learning rate was 0.1, and is 0.5; …". Empty
/// if nothing has. A name that only one list has is left out if another setting has changed, which is what
/// brings it in: with another optimizer come its own parameters.
LOCKSTEP_EXPORT std::string changes_text(const Settings& before, const Settings& now);

/// One text that parse_settings reads back. Names and values may hold anything but the two separators, the
/// control characters 0x1e and 0x1f, which are replaced by spaces.
LOCKSTEP_EXPORT std::string serialize(const Settings& settings);
LOCKSTEP_EXPORT Settings parse_settings(std::string_view text);

/// The shortest text that reads back as the same number.
LOCKSTEP_EXPORT std::string shortest_text(double value);

}  // namespace lockstep
