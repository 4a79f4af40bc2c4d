#include <lockstep/base/error.hpp>
#include <lockstep/train/metrics.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "support/file_size_limit.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::message_of;
using test::read_text;
using test::ScratchFolder;
using test::write_text;

/// Two steps and the epoch line of each of `epochs`, numbered from `first`.
void write_epochs(MetricsWriter& writer, Index first, Index epochs) {
    for (Index epoch = first; epoch < first + epochs; ++epoch) {
        for (Index step = 0; step < 2; ++step) {
            writer.write(StepMetrics{epoch, step, 1.0 / static_cast<double>(3 * epoch + step + 1)});
        }
        writer.write(EpochMetrics{.epoch = epoch,
                                  .train_loss = 0.5,
                                  .train_score = 0.75,
                                  .test_loss = 0.6,
                                  .test_score = 0.7,
                                  .test_top5 = 0.9,
                                  .seconds = 1.25,
                                  .samples_per_second = 6400,
                                  .communication_seconds = 0.125});
    }
}

std::vector<nlohmann::json> parse_lines(const std::filesystem::path& path) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(read_text(path));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
}

TEST(Metrics, EveryLineIsTheObjectOfTheContract) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    write_epochs(writer, 1, 2);
    const auto lines = parse_lines(folder / "metrics.jsonl");
    ASSERT_EQ(lines.size(), 6u);
    EXPECT_EQ(lines[1], (nlohmann::json{{"kind", "step"}, {"epoch", 1}, {"step", 1}, {"loss", 1.0 / 5}}));
    EXPECT_EQ(lines[5], (nlohmann::json{{"kind", "epoch"},
                                        {"epoch", 2},
                                        {"train_loss", 0.5},
                                        {"train_accuracy", 0.75},
                                        {"test_loss", 0.6},
                                        {"test_accuracy", 0.7},
                                        {"test_top5", 0.9},
                                        {"seconds", 1.25},
                                        {"samples_per_second", 6400.0},
                                        {"communication_seconds", 0.125}}));
}

TEST(Metrics, LossesComeBackToTheLastBit) {
    const ScratchFolder folder;
    const std::vector<double> losses{0.1,
                                     1.0 / 3,
                                     std::log(2.0),
                                     std::nextafter(1.0, 2.0),
                                     0,
                                     -1e-300,
                                     std::numeric_limits<double>::denorm_min(),
                                     std::numeric_limits<double>::max()};
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    for (const double loss : losses) writer.write(StepMetrics{0, 0, loss});
    writer.flush();
    EXPECT_NE(read_text(folder / "metrics.jsonl").find("0.69314718055994529"), std::string::npos);
    const Metrics metrics = read_metrics(folder / "metrics.jsonl");
    ASSERT_EQ(metrics.steps.size(), losses.size());
    for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_EQ(metrics.steps[i].loss, losses[i]);
}

TEST(Metrics, WhatIsNotFiniteIsStillJson) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    writer.write(StepMetrics{1, 0, std::nan("")});
    writer.write(StepMetrics{1, 1, std::numeric_limits<double>::infinity()});
    writer.write(EpochMetrics{.epoch = 1, .train_loss = -std::numeric_limits<double>::infinity()});
    const auto lines = parse_lines(folder / "metrics.jsonl");
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_TRUE(lines[0].at("loss").is_null());
    EXPECT_TRUE(lines[1].at("loss").is_null());
    EXPECT_TRUE(lines[2].at("train_loss").is_null());
    EXPECT_TRUE(lines[2].at("test_accuracy").is_null());
    EXPECT_TRUE(std::isnan(read_metrics(folder / "metrics.jsonl").steps[0].loss));
}

TEST(Metrics, TheLongestNumbersFitALine) {
    const ScratchFolder folder;
    constexpr Index most = std::numeric_limits<Index>::min();
    constexpr double longest = -1.7976931348623157e+308;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    writer.write(StepMetrics{most, most, longest});
    writer.write(EpochMetrics{Task::regression, most, longest, longest, longest, longest, longest, longest,
                              longest, longest, longest, longest});
    const Metrics metrics = read_metrics(folder / "metrics.jsonl");
    EXPECT_EQ(metrics.steps.at(0).step, most);
    EXPECT_EQ(metrics.epochs.at(0).communication_seconds, longest);
}

TEST(Metrics, AnEpochIsInTheFileAsSoonAsItIsWritten) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    write_epochs(writer, 0, 1);
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl").epochs.size(), 1u);
}

TEST(Metrics, AStartForgetsTheRunBefore) {
    const ScratchFolder folder;
    write_text(folder / "metrics.jsonl", "rubbish");
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    write_epochs(writer, 0, 1);
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl").steps.size(), 2u);
}

// The file of a resumed run must be that of an uninterrupted one.
TEST(Metrics, ResumingKeepsTheLinesUpToTheEpochAndContinues) {
    const ScratchFolder folder;
    {
        auto whole = MetricsWriter::start(folder / "whole.jsonl");
        write_epochs(whole, 0, 5);
        auto interrupted = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(interrupted, 0, 4);
        interrupted.write(StepMetrics{4, 0, 0.25});
    }
    {
        auto resumed = MetricsWriter::resume(folder / "metrics.jsonl", 2);
        write_epochs(resumed, 3, 2);
    }
    EXPECT_EQ(read_text(folder / "metrics.jsonl"), read_text(folder / "whole.jsonl"));
    EXPECT_EQ(folder.entries(), 2);
}

TEST(Metrics, ALastLineMayBeTornAnywhere) {
    const ScratchFolder folder;
    {
        auto writer = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(writer, 0, 2);
    }
    const std::string text = read_text(folder / "metrics.jsonl");
    const std::size_t last_line = text.rfind('\n', text.size() - 2) + 1;
    for (std::size_t length = last_line; length < text.size(); ++length) {
        write_text(folder / "torn.jsonl", text.substr(0, length));
        EXPECT_EQ(read_metrics(folder / "torn.jsonl").epochs.size(), 1u);
        MetricsWriter::resume(folder / "torn.jsonl", 1);
        ASSERT_EQ(read_text(folder / "torn.jsonl"), text.substr(0, last_line)) << "torn after " << length;
    }
}

// A run that goes on within an epoch keeps the lines of its steps so far.
TEST(Metrics, ResumingWithinAnEpochKeepsItsStepsSoFar) {
    const ScratchFolder folder;
    {
        auto writer = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(writer, 1, 4);
    }
    {
        const auto resumed = MetricsWriter::resume(folder / "metrics.jsonl", 2, 1);
        EXPECT_EQ(resumed.dropped(), "5 lines of later steps");
    }
    const Metrics metrics = read_metrics(folder / "metrics.jsonl");
    EXPECT_EQ(metrics.epochs.size(), 2u);
    ASSERT_EQ(metrics.steps.size(), 5u);
    EXPECT_EQ(metrics.steps.back().epoch, 3);
    EXPECT_EQ(metrics.steps.back().step, 0);
    EXPECT_EQ(MetricsWriter::resume(folder / "metrics.jsonl", 2, 1).dropped(), "");
}

// After a power cut a file system may give a file its length and zeros for the rest.
TEST(Metrics, ZerosAtTheEndAreDroppedAndSaidToBe) {
    const ScratchFolder folder;
    {
        auto writer = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(writer, 1, 2);
    }
    const std::string text = read_text(folder / "metrics.jsonl");
    for (const std::string& torn : {std::string(512, '\0'), R"({"kind":"st)" + std::string(9, '\0'),
                                    std::string(7, '\0') + "\n" + std::string(3, '\0')}) {
        write_text(folder / "torn.jsonl", text + torn);
        EXPECT_EQ(read_metrics(folder / "torn.jsonl").epochs.size(), 2u);
        EXPECT_EQ(MetricsWriter::resume(folder / "torn.jsonl", 2).dropped(),
                  std::to_string(torn.size()) + " bytes of torn lines");
        EXPECT_EQ(read_text(folder / "torn.jsonl"), text);
    }
}

TEST(Metrics, OfADamagedFileWhatIsWholeIsKeptAndGapsAreKnown) {
    const ScratchFolder folder;
    {
        auto writer = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(writer, 1, 3);
    }
    const std::string text = read_text(folder / "metrics.jsonl");
    const auto resumed = [&](const std::string& found, Index epochs, Index steps = 0) {
        write_text(folder / "metrics.jsonl", found);
        return MetricsWriter::resume(folder / "metrics.jsonl", epochs, steps);
    };
    EXPECT_FALSE(resumed(text, 3).has_gaps());
    EXPECT_FALSE(resumed(text, 2, 1).has_gaps());
    EXPECT_TRUE(resumed(text, 4).has_gaps());
    EXPECT_TRUE(resumed(text, 3, 1).has_gaps());
    EXPECT_TRUE(resumed("", 1).has_gaps());
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find('\n', begin) + 1;
        const std::string line = text.substr(begin, end - begin);
        std::string zeros = text;
        zeros[begin + 5] = '\0';
        EXPECT_EQ(resumed(zeros, 3).dropped(), std::to_string(line.size()) + " bytes of torn lines");
        const std::string without = std::string(text).erase(begin, line.size());
        EXPECT_EQ(read_text(folder / "metrics.jsonl"), without);
        EXPECT_TRUE(resumed(without, 3).has_gaps()) << line;
        EXPECT_TRUE(resumed(std::string(text).insert(begin, line), 3).has_gaps()) << line;
        begin = end;
    }
    std::string epochs_alone;
    for (const std::size_t begin : {text.find(R"({"kind":"epoch")"), text.rfind(R"({"kind":"epoch")")})
        epochs_alone += text.substr(begin, text.find('\n', begin) + 1 - begin);
    EXPECT_TRUE(resumed(epochs_alone, 3).has_gaps()) << "the second epoch is missing";
    std::filesystem::remove(folder / "metrics.jsonl");
    EXPECT_TRUE(MetricsWriter::resume(folder / "metrics.jsonl", 3).has_gaps());
}

TEST(Metrics, AFileThatIsRemovedWhileItIsWrittenIsAnError) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    write_epochs(writer, 1, 2);
    EXPECT_NO_THROW(writer.sync());
    write_text(folder / "another", "");
    std::filesystem::rename(folder / "another", folder / "metrics.jsonl");
    const std::string message = message_of<FileError>([&] { writer.sync(); });
    EXPECT_NE(message.find("metrics.jsonl: was removed or replaced"), std::string::npos) << message;
}

TEST(Metrics, AFileThatNeedsNoCutIsNotRewritten) {
    const ScratchFolder folder;
    {
        auto writer = MetricsWriter::start(folder / "metrics.jsonl");
        write_epochs(writer, 1, 2);
    }
    const std::string before = read_text(folder / "metrics.jsonl");
    std::filesystem::create_hard_link(folder / "metrics.jsonl", folder / "same");
    MetricsWriter::resume(folder / "metrics.jsonl", 2);
    EXPECT_TRUE(std::filesystem::equivalent(folder / "metrics.jsonl", folder / "same"));
    EXPECT_EQ(read_text(folder / "metrics.jsonl"), before);
    MetricsWriter::resume(folder / "metrics.jsonl", 1);
    EXPECT_FALSE(std::filesystem::equivalent(folder / "metrics.jsonl", folder / "same"));
    EXPECT_EQ(read_text(folder / "same"), before);
}

TEST(Metrics, ResumingWithoutAFileStartsOne) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::resume(folder / "metrics.jsonl", 7);
    write_epochs(writer, 8, 1);
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl").epochs.size(), 1u);
}

TEST(Metrics, AnotherBrokenLineIsAnErrorThatNamesIt) {
    const ScratchFolder folder;
    const auto path = folder / "metrics.jsonl";
    const std::string good = R"({"kind":"step","epoch":0,"step":0,"loss":1})"
                             "\n";
    for (const std::string bad :
         {"{\"kind\":\"st", "[]", "7", "{}", R"({"kind":"step","epoch":0})", R"({"kind":1})",
          R"({"kind":"other","epoch":0})", R"({"kind":"step","epoch":2e45,"step":0,"loss":1})",
          R"({"kind":"step","epoch":0,"step":1.5,"loss":1})",
          R"({"kind":"step","epoch":18446744073709551615,"step":0,"loss":1})",
          R"({"kind":"step","epoch":true,"step":0,"loss":1})", ""}) {
        write_text(path, good + bad + "\n" + good);
        for (const auto& message : {message_of<FileError>([&] { read_metrics(path); }),
                                    message_of<FileError>([&] { MetricsWriter::resume(path, 3); })}) {
            EXPECT_NE(message.find(path.string() + ": line 2"), std::string::npos) << bad << ": " << message;
        }
        EXPECT_EQ(read_text(path), good + bad + "\n" + good);
    }
}

TEST(Metrics, AFullDiskIsAnErrorThatNamesTheFile) {
    const ScratchFolder folder;
    auto writer = MetricsWriter::start(folder / "metrics.jsonl");
    const test::FileSizeLimit limit(1000);
    const auto message = message_of<FileError>([&] { write_epochs(writer, 0, 20); });
    EXPECT_NE(message.find((folder / "metrics.jsonl").string()), std::string::npos) << message;
}

TEST(Metrics, AFileThatCannotBeWrittenIsAnError) {
    const ScratchFolder folder;
    EXPECT_THROW(MetricsWriter::start(folder / "no/such/metrics.jsonl"), FileError);
    EXPECT_THROW(read_metrics(folder / "missing.jsonl"), FileError);
}

}  // namespace
}  // namespace lockstep
