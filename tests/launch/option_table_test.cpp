/// A table of options gives back what it wrote, lets words win over files, and names what is wrong.
#include "launch/option_table.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

enum class Color { red, green };

/// One option of each type and role.
struct Everything {
    long count = 3;
    double rate = 0.1;
    std::string title = "none yet";
    bool sure = false, rare = false, again = false;
    std::optional<long> limit;
    std::optional<double> share;
    std::uint64_t seed = 1;
    Color color = Color::red;
    std::vector<int> sizes = {2, 4};
    fs::path place, output;
    double patience = 300;
};

class Options {
  public:
    Options() {
        table.group("First");
        table.add("count", values.count, "how many");
        table.add("rate", values.rate, "how much");
        table.add("title", values.title, "what it is called");
        table.add("sure", values.sure, "whether it is so");
        table.add("rare", values.rare, "whether it is unusual").kept_at_default = false;
        table.add("limit", values.limit, "at most so many");
        table.add("share", values.share, "of the whole");
        table.group("Second");
        table.add("seed", values.seed, whole_number<std::uint64_t>(0), "where it begins");
        table.add("color", values.color, one_of<Color>({{"red", Color::red}, {"green", Color::green}}),
                  "of the thing");
        table.add("sizes", values.sizes, list_of(whole_number<int>(1)), "of the things");
        table.add("place", values.place, absolute_path(), "where", OptionRole::place);
        table.add("output", values.output, path_as_given(), "where to", OptionRole::call);
        table.add("patience", values.patience, "in seconds", OptionRole::course);
        table.add_switch("again", values.again, "once more");
    }
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    Everything values;
    OptionTable table;
};

const std::vector<std::string> every_word = {"--count=-5",       "--rate=0.30000000000000004",
                                             "--title=a b",      "--sure=true",
                                             "--rare=true",      "--limit=7",
                                             "--share=1e-300",   "--seed=18446744073709551615",
                                             "--color=green",    "--sizes=8, 1",
                                             "--place=/a b/c",   "--output=somewhere",
                                             "--patience=0.125", "--again"};

class OptionTableTest : public testing::Test {
  protected:
    OptionTableTest() { fs::create_directory(folder_); }
    ~OptionTableTest() override { fs::remove_all(folder_); }

    fs::path write(const std::string& text) const {
        std::ofstream(folder_ / "some.cfg") << text;
        return folder_ / "some.cfg";
    }

  private:
    fs::path folder_ = fs::path(testing::TempDir()) / ("options-" + std::to_string(::getpid()));
};

std::vector<std::string> names(const Settings& settings) {
    std::vector<std::string> all;
    for (const auto& setting : settings) all.push_back(setting.first);
    return all;
}

std::string file_text(const Settings& settings) {
    std::string text;
    for (const auto& [name, value] : settings) text += name + " = " + value + "\n";
    return text;
}

/// What is wrong with words, or with a file if there are none.
std::string error_of(const std::vector<std::string>& words, const fs::path& file = {}) {
    try {
        Options options;
        options.table.read_words(words);
        if (!file.empty()) options.table.read_file(file);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST_F(OptionTableTest, DefaultsAreWhatTheMembersHold) {
    Options options;
    options.table.read_words({});
    const Settings expected = {{"count", "3"}, {"rate", "0.1"},  {"title", "none yet"}, {"sure", "false"},
                               {"seed", "1"},  {"color", "red"}, {"sizes", "2,4"},      {"patience", "300"}};
    EXPECT_EQ(options.table.settings(), expected);
    EXPECT_EQ(options.values.limit, std::nullopt);
}

TEST_F(OptionTableTest, ASwitchMayHaveAValue) {
    const auto color_after = [](const std::vector<std::string>& words) {
        Color color = Color::red;
        long count = 0;
        OptionTable table;
        table.add("count", count, "how many");
        table.add_switch("tint", color, one_of<Color>({{"red", Color::red}, {"green", Color::green}}),
                         "green", "of the thing");
        table.read_words(words);
        EXPECT_EQ(names(table.settings()), std::vector<std::string>{"count"}) << "it belongs to the call";
        return color;
    };
    EXPECT_EQ(color_after({}), Color::red);
    EXPECT_EQ(color_after({"--tint"}), Color::green);
    EXPECT_EQ(color_after({"--tint", "--count", "3"}), Color::green);
    EXPECT_EQ(color_after({"--tint", "red"}), Color::red);
    EXPECT_EQ(color_after({"--count", "3", "--tint=red"}), Color::red);
    EXPECT_THROW(color_after({"--tint", "blue"}), UsageError);
    EXPECT_THROW(color_after({"--tint", "red", "green"}), UsageError);
}

TEST_F(OptionTableTest, WhatIsWrittenReadsBack) {
    Options first, second;
    first.table.read_words(every_word);
    EXPECT_EQ(first.values.rate, 0.30000000000000004);
    EXPECT_EQ(first.values.share, 1e-300);
    EXPECT_EQ(first.values.seed, ~std::uint64_t{0});
    EXPECT_EQ(first.values.color, Color::green);
    EXPECT_EQ(first.values.sizes, (std::vector<int>{8, 1}));
    EXPECT_TRUE(first.values.again);
    second.table.read_file(write(file_text(first.table.settings())));
    EXPECT_EQ(second.table.settings(), first.table.settings());
    EXPECT_EQ(second.values.rate, first.values.rate);
    EXPECT_EQ(second.values.share, first.values.share);
    EXPECT_EQ(second.values.place, first.values.place);
}

TEST_F(OptionTableTest, WordsWinOverTheFile) {
    Options options;
    options.table.read_words({"--count", "4", "--sizes=5"});
    options.table.read_file(write("# both\ncount = 9\nsizes = 6\nrate = 0.5  # the file alone\n"));
    EXPECT_EQ(options.values.count, 4);
    EXPECT_EQ(options.values.sizes, std::vector<int>{5});
    EXPECT_EQ(options.values.rate, 0.5);
    EXPECT_TRUE(options.table.given("count"));
    EXPECT_TRUE(options.table.given("rate"));
    EXPECT_FALSE(options.table.given("title"));
    EXPECT_FALSE(options.table.given("limit"));
}

TEST_F(OptionTableTest, RolesSayWhatIsKeptAndWhatIsCompared) {
    Options options;
    options.table.read_words(every_word);
    std::vector<std::string> expected = {"count", "rate", "title", "sure",  "rare",  "limit",
                                         "share", "seed", "color", "sizes", "place", "patience"};
    EXPECT_EQ(names(options.table.settings()), expected);
    std::erase(expected, "place");
    EXPECT_EQ(names(options.table.common(options.table.settings())), expected);
    options.table.set_role({"count", "seed"}, OptionRole::call);
    std::erase(expected, "count");
    std::erase(expected, "seed");
    EXPECT_EQ(names(options.table.common(options.table.settings())), expected);
}

TEST_F(OptionTableTest, ErrorsNameTheOption) {
    for (const char* word : {"--count=x", "--count=1.5", "--rate=fast", "--sure=yes", "--limit=", "--seed=-1",
                             "--seed=18446744073709551616", "--color=blue", "--sizes=1,,2", "--sizes=1,1",
                             "--sizes=0", "--again=1"}) {
        const std::string option(word + 2, std::string_view(word).find('='));
        EXPECT_NE(error_of({word}).find(option.substr(0, option.find('='))), std::string::npos)
            << word << ": " << error_of({word});
    }
    EXPECT_NE(error_of({"--color=blue"}).find("red, green"), std::string::npos);
    EXPECT_NE(error_of({"--count=1", "--count=1"}).find("more than once"), std::string::npos);
    EXPECT_NE(error_of({"extra"}).find("'extra' is not expected"), std::string::npos);
}

TEST_F(OptionTableTest, ErrorsOfAFileNameTheFile) {
    for (const char* text :
         {"color = blue\n", "count = x\n", "colour = red\n", "count\n", "[part]\n x = 1\n"}) {
        const fs::path file = write(text);
        EXPECT_TRUE(error_of({}, file).starts_with(file.string() + ": ")) << error_of({}, file);
    }
    EXPECT_EQ(error_of({"--color=red"}, write("color = blue\n")), "");  // not asked for
    EXPECT_NE(error_of({}, "nowhere.cfg").find("cannot be read"), std::string::npos);
}

TEST_F(OptionTableTest, MisspelledNamesAreRecognized) {
    EXPECT_NE(error_of({"--colour=red"}).find("did you mean color?"), std::string::npos);
    EXPECT_NE(error_of({"--cuont=1"}).find("did you mean count?"), std::string::npos);
    EXPECT_NE(error_of({}, write("coun = 1\n")).find("did you mean count?"), std::string::npos);
    for (const char* word : {"--frobnicate", "--x"})
        EXPECT_EQ(error_of({word}).find("did you mean"), std::string::npos) << word;
}

TEST_F(OptionTableTest, ValuesThatAFileCannotHoldAreRefused) {
    for (const char* word : {"--title=a#b", "--title=a\nb", "--title= a", "--title=a ", "--place=/a#b"})
        EXPECT_NE(error_of({word}).find("configuration file cannot hold"), std::string::npos) << word;
    EXPECT_EQ(error_of({"--output=a#b"}), "");  // is not kept
}

TEST_F(OptionTableTest, HelpListsEveryOptionWithItsDefault) {
    const Options options;
    const std::string help = options.table.help();
    for (const Option& option : options.table.options())
        EXPECT_NE(help.find("--" + option.name), std::string::npos) << option.name;
    for (const char* text : {"First:", "Second:", "(=3)", "(=2,4)", "(=red)", "changes no bit"})
        EXPECT_NE(help.find(text), std::string::npos) << text;
    EXPECT_EQ(options.table.help({"Second"}).find("--count"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::launch
