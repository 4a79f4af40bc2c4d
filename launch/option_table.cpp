#include "option_table.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string_view>

namespace lockstep::launch {
namespace {

namespace po = boost::program_options;

/// Throws if a value would not come back from config.cfg as it went in.
void check_can_be_kept(const Settings& settings) {
    for (const auto& [name, value] : settings)
        if (value.find_first_of("#\n\r") != std::string::npos || value.find_first_of(" \t") == 0 ||
            value.find_last_of(" \t") == value.size() - 1)
            throw UsageError(
                name + ": '" + value +
                "' holds a '#', a line break or a space at its end, which a configuration file cannot "
                "hold: choose another name");
}

/// How many letters must be put in, taken out or replaced to make one word of the other.
std::size_t distance(std::string_view from, std::string_view to) {
    std::vector<std::size_t> row(to.size() + 1);  // from the letters so far to each beginning of `to`
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < from.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < to.size(); ++j) {
            const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
            diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, replaced}));
        }
    }
    return row.back();
}

/// ": did you mean NAME?", or nothing if no option is called much like that.
std::string suggestion(const std::vector<Option>& options, std::string_view unknown) {
    unknown.remove_prefix(std::min(unknown.find_first_not_of('-'), unknown.size()));
    unknown = unknown.substr(0, unknown.find('='));
    std::string nearest;
    std::size_t least = std::min<std::size_t>(3, unknown.size());  // "xy" is nothing like "bn"
    for (const Option& option : options) {
        const auto [shorter, longer] = std::minmax({unknown.size(), option.name.size()});
        if (longer - shorter >= least) continue;  // nor can the distance be less
        if (const std::size_t far = distance(unknown, option.name); far < least) {
            least = far;
            nearest = option.name;
        }
    }
    return nearest.empty() ? "" : ": did you mean " + nearest + "?";
}

/// Boost's own words. It puts names and values into a pattern with %value% and the like, again and again for as long as
/// it finds one: if one is in `given`, what was to be read, it would never end.
std::string words_of(const po::error& error, std::string_view given) {
    for (std::size_t at = given.find('%'); at != std::string_view::npos; at = given.find('%', at + 1)) {
        const std::size_t end = given.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
        if (end != std::string_view::npos && end > at + 1 && given[end] == '%')
            return "an option is unknown or its value makes no sense; look at what stands before or after '" +
                   std::string(given.substr(at, end + 1 - at)) + "'";
    }
    return error.what();
}

std::string in_one_text(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word + " ";
    return text;
}

po::options_description described(const std::vector<Option>& options) {
    po::options_description all;
    for (const Option& option : options) all.add(option.description);
    return all;
}

}  // namespace

OptionTable& OptionTable::group(std::string title) {
    group_ = std::move(title);
    return *this;
}

Option& OptionTable::add_switch(const std::string& name, bool& member, const std::string& help) {
    return insert(name, help, OptionRole::call, po::bool_switch(&member),
                  [&member] { return std::string(member ? "true" : "false"); });
}

Option& OptionTable::insert(const std::string& name, const std::string& help, OptionRole role,
                            po::value_semantic* value, std::function<std::string()> write) {
    const std::string text = help + (role == OptionRole::course ? "; changes no bit of the result" : "");
    std::string first = write();
    Option option{.name = name,
                  .group = group_,
                  .role = role,
                  .default_text = std::move(first),
                  .write = std::move(write),
                  .description = nullptr};
    option.description.reset(new po::option_description(name.c_str(), value, text.c_str()));
    return options_.emplace_back(std::move(option));
}

void OptionTable::set_role(const std::vector<std::string>& names, OptionRole role) {
    for (Option& option : options_)
        if (std::ranges::find(names, option.name) != names.end()) option.role = role;
}

void OptionTable::naming(const std::string& name, const std::function<void()>& read) {
    try {
        read();
    } catch (const UsageError& error) {
        const std::string what = error.what();
        throw UsageError(what.starts_with(name) ? what : name + ": " + what);
    }
}

// What is stored first wins, but for defaults.
void OptionTable::store(const po::parsed_options& parsed) {
    po::store(parsed, values_);
    po::notify(values_);
    check_can_be_kept(settings());
}

/// "--resume", "auto" as "--resume=auto": Boost sees a value that is optional only there.
std::vector<std::string> OptionTable::joined(const std::vector<std::string>& words) const {
    std::vector<std::string> result;
    for (const std::string& word : words) {
        const bool takes = !result.empty() && std::ranges::any_of(options_, [&](const Option& option) {
            return option.may_stand_alone && result.back() == "--" + option.name;
        });
        if (takes && !word.starts_with('-'))
            result.back() += "=" + word;
        else
            result.push_back(word);
    }
    return result;
}

void OptionTable::read_words(const std::vector<std::string>& words) {
    try {
        using namespace po::command_line_style;
        const po::options_description known = described(options_);
        // Whole names only: an abbreviation that works today may be ambiguous tomorrow.
        const auto parsed = po::command_line_parser(joined(words))
                                .options(known)
                                .style(allow_long | long_allow_adjacent | long_allow_next)
                                .run();
        for (const auto& option : parsed.options)
            if (option.position_key >= 0)
                throw UsageError("'" + option.value.front() +
                                 "' is not expected: options are written --name value; see --help");
        store(parsed);
    } catch (const po::unknown_option& error) {
        const std::string hint = suggestion(options_, error.get_option_name());
        throw UsageError(words_of(error, in_one_text(words)) + (hint.empty() ? "; see --help" : hint));
    } catch (const po::error& error) {
        throw UsageError(words_of(error, in_one_text(words)) + "; see --help");
    }
}

void OptionTable::read_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file || std::filesystem::is_directory(path))
        throw FileError(path.string() + ": the configuration file cannot be read");
    const auto refuse = [&](const std::string& why) { throw UsageError(path.string() + ": " + why); };
    std::ostringstream content;
    content << file.rdbuf();
    try {
        std::istringstream text(content.str());
        store(po::parse_config_file(text, described(options_)));
    } catch (const po::unknown_option& error) {
        refuse(words_of(error, content.str()) + suggestion(options_, error.get_option_name()));
    } catch (const po::error& error) {
        refuse(words_of(error, content.str()));
    } catch (const UsageError& error) {
        refuse(error.what());
    }
}

bool OptionTable::given(const std::string& name) const {
    return values_.count(name) > 0 && !values_[name].defaulted();
}

std::string OptionTable::help(const std::vector<std::string>& groups) const {
    std::vector<std::string> titles = groups;
    if (groups.empty())
        for (const Option& option : options_)
            if (std::ranges::find(titles, option.group) == titles.end()) titles.push_back(option.group);
    po::options_description all;
    for (const std::string& title : titles) {
        po::options_description part(title);
        for (const Option& option : options_)
            if (option.group == title) part.add(option.description);
        all.add(part);
    }
    std::ostringstream text;
    text << all;
    return text.str();
}

Settings OptionTable::settings() const {
    Settings kept;
    for (const Option& option : options_) {
        const std::string text = option.write();
        if (option.role == OptionRole::call || text.empty()) continue;
        if (option.kept_at_default || text != option.default_text) kept.emplace_back(option.name, text);
    }
    return kept;
}

Settings OptionTable::common(Settings settings) const {
    for (const Option& option : options_)
        if (option.role == OptionRole::place)
            std::erase_if(settings, [&](const auto& setting) { return setting.first == option.name; });
    return settings;
}

}  // namespace lockstep::launch
