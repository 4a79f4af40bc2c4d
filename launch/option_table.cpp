#include "option_table.hpp"

#include <lockstep/base/error.hpp>

#include <boost/program_options.hpp>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string_view>
#include <type_traits>
#include <utility>

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

/// Puts the option's name before what is wrong with its value.
void naming(const std::string& name, const std::function<void()>& read) {
    try {
        read();
    } catch (const UsageError& error) {
        const std::string what = error.what();
        throw UsageError(what.starts_with(name) ? what : name + ": " + what);
    }
}

template <PlainValue T>
po::typed_value<T>* plain(T* member) {
    return po::value(member)->value_name(std::same_as<T, std::string>  ? "TEXT"
                                         : std::is_floating_point_v<T> ? "X"
                                                                       : "N");
}

template <class T>
po::typed_value<T>* with_default(po::typed_value<T>* value, const T& first, const std::string& text) {
    return text.empty() ? value : value->default_value(first, text);
}

}  // namespace

struct OptionTable::Boost {
    std::vector<boost::shared_ptr<po::option_description>> descriptions;  // of each option
    po::variables_map values;

    po::options_description all() const {
        po::options_description result;
        for (const auto& description : descriptions) result.add(description);
        return result;
    }
    /// What is stored first wins, but for defaults.
    void store(const po::parsed_options& parsed) {
        po::store(parsed, values);
        po::notify(values);
    }
};

OptionTable::OptionTable() : boost_(std::make_unique<Boost>()) {}
OptionTable::OptionTable(OptionTable&&) noexcept = default;
OptionTable::~OptionTable() = default;

OptionTable& OptionTable::group(std::string title) {
    group_ = std::move(title);
    return *this;
}

template <PlainValue T>
Option& OptionTable::add(const std::string& name, T& member, const std::string& help, OptionRole role) {
    return insert(name, help, role, with_default(plain(&member), member, to_text(member)),
                  [&member] { return to_text(member); });
}

template <PlainValue T>
Option& OptionTable::add(const std::string& name, std::optional<T>& member, const std::string& help,
                         OptionRole role) {
    auto* const value = plain<T>(nullptr)->notifier([&member](const T& given) { member = given; });
    return insert(name, help, role, value, [&member] { return to_text(member); });
}

template Option& OptionTable::add(const std::string&, int&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, Index&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, double&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, std::string&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, std::optional<int>&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, std::optional<Index>&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, std::optional<double>&, const std::string&, OptionRole);
template Option& OptionTable::add(const std::string&, std::optional<std::string>&, const std::string&,
                                  OptionRole);

Option& OptionTable::add_switch(const std::string& name, bool& member, const std::string& help) {
    return insert(name, help, OptionRole::call, po::bool_switch(&member),
                  [&member] { return std::string(member ? "true" : "false"); });
}

Option& OptionTable::insert_text(const std::string& name, const std::string& help, OptionRole role,
                                 BoundText member, const std::optional<std::string>& alone) {
    auto* const value = po::value<std::string>()
                            ->value_name(member.placeholder)
                            ->notifier([name, read = member.read](const std::string& text) {
                                naming(name, [&] { read(text); });
                            });
    const std::string first = member.write();
    if (alone)
        value->implicit_value(*alone);
    else
        with_default(value, first, first);
    Option& option = insert(name, help, role, value, std::move(member.write));
    option.may_stand_alone = alone.has_value();
    return option;
}

Option& OptionTable::insert(const std::string& name, const std::string& help, OptionRole role,
                            po::value_semantic* value, std::function<std::string()> write) {
    const std::string text = help + (role == OptionRole::course ? "; changes no bit of the result" : "");
    boost_->descriptions.emplace_back(new po::option_description(name.c_str(), value, text.c_str()));
    std::string first = write();
    return options_.emplace_back(Option{.name = name,
                                        .group = group_,
                                        .role = role,
                                        .default_text = std::move(first),
                                        .write = std::move(write)});
}

void OptionTable::set_role(const std::vector<std::string>& names, OptionRole role) {
    for (Option& option : options_)
        if (std::ranges::find(names, option.name) != names.end()) option.role = role;
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
        const po::options_description known = boost_->all();
        // Whole names only: an abbreviation that works today may be ambiguous tomorrow.
        const auto parsed = po::command_line_parser(joined(words))
                                .options(known)
                                .style(allow_long | long_allow_adjacent | long_allow_next)
                                .run();
        for (const auto& option : parsed.options)
            if (option.position_key >= 0)
                throw UsageError("'" + option.value.front() +
                                 "' is not expected: options are written --name value; see --help");
        boost_->store(parsed);
        check_can_be_kept(settings());
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
        boost_->store(po::parse_config_file(text, boost_->all()));
        check_can_be_kept(settings());
    } catch (const po::unknown_option& error) {
        refuse(words_of(error, content.str()) + suggestion(options_, error.get_option_name()));
    } catch (const po::error& error) {
        refuse(words_of(error, content.str()));
    } catch (const UsageError& error) {
        refuse(error.what());
    }
}

bool OptionTable::given(const std::string& name) const {
    return boost_->values.count(name) > 0 && !boost_->values[name].defaulted();
}

std::string OptionTable::help(const std::vector<std::string>& groups) const {
    std::vector<std::string> titles = groups;
    if (groups.empty())
        for (const Option& option : options_)
            if (std::ranges::find(titles, option.group) == titles.end()) titles.push_back(option.group);
    po::options_description all;
    for (const std::string& title : titles) {
        po::options_description part(title);
        for (std::size_t i = 0; i < options_.size(); ++i)
            if (options_[i].group == title) part.add(boost_->descriptions[i]);
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
