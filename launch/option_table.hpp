/// A table of options. Each option is one entry, bound to a member of an options struct, whose type and first
/// value are the option's type and default:
///
///     StudyOptions study;
///     OptionTable table;
///     table.group("Study").add("global-batch", study.global_batch, "samples per step over all replicas");
///     table.read_words({"--global-batch", "128"});
///
/// Help, the command line, configuration files, what config.cfg keeps and what ranks compare come from it.
#pragma once

#include "option_text.hpp"

#include <lockstep/base/settings.hpp>
#include <lockstep/base/shape.hpp>

#include <concepts>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace boost::program_options {
class value_semantic;
}

namespace lockstep::launch {

/// What an option is about.
enum class OptionRole {
    result,  ///< what the bits of the result depend on
    course,  ///< how a run goes, or how a study is shown: kept and the same on every rank, but changes no bit
    place,   ///< where something is found: kept, but ranks may have their own; what is there is compared
    call,    ///< about one call of the program: not kept
};

/// What Boost reads as it should; of an unsigned number it would take -1 for the largest.
template <class T>
concept PlainValue =
    std::same_as<T, int> || std::same_as<T, Index> || std::same_as<T, double> || std::same_as<T, std::string>;

struct Option {
    std::string name;   ///< without the --
    std::string group;  ///< title of its part of the help
    OptionRole role = OptionRole::result;
    bool kept_at_default = true;         ///< whether config.cfg has it although it is as by default
    bool may_stand_alone = false;        ///< its value, if any, is optional
    std::string default_text;            ///< empty: there is none
    std::function<std::string()> write;  ///< the value as text; empty: not given
};

/// Refers to the members that its options are bound to, which must outlive it.
class OptionTable {
  public:
    OptionTable();
    OptionTable(OptionTable&&) noexcept;
    ~OptionTable();

    /// Names the part of the help that options are added to from here on. A part may be come back to.
    OptionTable& group(std::string title);

    /// Adds a number or a text; std::optional for one that may be left open. Options are kept and listed in
    /// the order in which they are added. The reference holds until the next is added.
    template <PlainValue T>
    Option& add(const std::string& name, T& member, const std::string& help,
                OptionRole role = OptionRole::result);
    template <PlainValue T>
    Option& add(const std::string& name, std::optional<T>& member, const std::string& help,
                OptionRole role = OptionRole::result);
    /// Adds a value of any type, by its form as text.
    template <class T>
    Option& add(const std::string& name, T& member, const TextForm<T>& form, const std::string& help,
                OptionRole role = OptionRole::result) {
        return insert_text(name, help, role, bound(member, form), {});
    }
    /// Adds true or false.
    Option& add(const std::string& name, bool& member, const std::string& help,
                OptionRole role = OptionRole::result) {
        return add(name, member, true_or_false(), help, role);
    }
    /// Adds --name, which takes no value. It belongs to the call.
    Option& add_switch(const std::string& name, bool& member, const std::string& help);
    /// The same for one that may have a value, and without one means `alone`.
    template <class T>
    Option& add_switch(const std::string& name, T& member, const TextForm<T>& form, const std::string& alone,
                       const std::string& help) {
        return insert_text(name, help, OptionRole::call, bound(member, form), alone);
    }

    /// Gives some of the options another role.
    void set_role(const std::vector<std::string>& names, OptionRole role);

    /// Reads options in the form --name value or --name=value. Throws UsageError, naming the option, if one
    /// is unknown, makes no sense or cannot be kept in a configuration file.
    void read_words(const std::vector<std::string>& words);
    /// Reads what is still open from a configuration file. Throws as above, naming the file, too, or
    /// FileError.
    void read_file(const std::filesystem::path& path);
    /// Whether the option was read from words or a file.
    bool given(const std::string& name) const;

    /// The text of --help: the groups of these titles, or all.
    std::string help(const std::vector<std::string>& groups = {}) const;

    /// The options that config.cfg keeps, and their values.
    Settings settings() const;
    /// Those among `settings` that every rank must have in common.
    Settings common(Settings settings) const;

    /// In the order in which they were added.
    const std::vector<Option>& options() const { return options_; }

  private:
    struct Boost;  // what Boost.Program_options knows of them

    /// A member, with its type gone.
    struct BoundText {
        std::string placeholder;
        std::function<void(const std::string&)> read;
        std::function<std::string()> write;
    };
    template <class T>
    static BoundText bound(T& member, const TextForm<T>& form) {
        return {form.placeholder,
                [&member, read = form.read](const std::string& text) { member = read(text); },
                [&member, write = form.write] { return write(member); }};
    }
    /// `alone`: what the option means without a value, if it may do without.
    Option& insert_text(const std::string& name, const std::string& help, OptionRole role, BoundText member,
                        const std::optional<std::string>& alone);
    Option& insert(const std::string& name, const std::string& help, OptionRole role,
                   boost::program_options::value_semantic* value, std::function<std::string()> write);

    std::vector<std::string> joined(const std::vector<std::string>& words) const;

    std::string group_;
    std::vector<Option> options_;
    std::unique_ptr<Boost> boost_;
};

}  // namespace lockstep::launch
