// Means, deviations and gaps are those of a textbook, and the words say what the numbers say.
#include <lockstep/base/error.hpp>
#include <lockstep/report/summary.hpp>
#include <lockstep/report/table.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "study_samples.hpp"

namespace lockstep {
namespace {

using test::sample_study;

std::string all_findings(const Study& study) {
    std::string text;
    for (const std::string& sentence : findings(study)) text += sentence + "\n";
    return text;
}

TEST(Spread, IsMeanAndSampleDeviation) {
    const std::vector<double> values{2, 4, 9, not_measured};
    const Spread result = spread(values);
    EXPECT_EQ(result.count, 3);
    EXPECT_DOUBLE_EQ(result.mean, 5);
    EXPECT_DOUBLE_EQ(result.deviation, std::sqrt((9.0 + 1 + 16) / 2));
}

TEST(Spread, OfFewValuesKnowsNoDeviation) {
    EXPECT_TRUE(std::isnan(spread({}).mean));
    const double one = 7;
    EXPECT_EQ(spread(std::span(&one, 1)).mean, 7);
    EXPECT_TRUE(std::isnan(spread(std::span(&one, 1)).deviation));
}

TEST(Summary, ErrorsAreOfTheLastEpochAndTheAveragesAskedFor) {
    Study study = sample_study();
    study.combinations[0].epochs[0].pooled_score = 0;  // an early epoch does not count
    EXPECT_NEAR(test_error(study, "local", 2).mean, 13, 1e-9);
    EXPECT_NEAR(test_error(study, "local", 2).deviation, 0.5, 1e-9);
    EXPECT_NEAR(gap_to_sync(study, "local", 2), 8, 1e-9);
    study.averages = AverageKind::first;
    EXPECT_NEAR(test_error(study, "local", 2).mean, 14, 1e-9);
}

TEST(Summary, FailedCombinationsDoNotCount) {
    Study study = sample_study();
    study.combinations[0].outcome = Outcome::failed;
    EXPECT_EQ(test_error(study, "local", 2).count, 2);
}

// The gaps are 8, 2, 0.5 and 0.125 points; the deviation is the spread of the seeds.
TEST(Summary, TheThresholdIsWhereTheGapFallsToOneDeviation) {
    EXPECT_EQ(cost_threshold(sample_study(1), "local")->harmless_from, 8);
    EXPECT_EQ(cost_threshold(sample_study(0.25), "local")->harmless_from, 16);
    EXPECT_EQ(cost_threshold(sample_study(10), "local")->harmless_from, 2);
    EXPECT_EQ(cost_threshold(sample_study(0.01), "local")->harmless_from, std::nullopt);
}

TEST(Summary, WithOneSeedThereIsNoThreshold) {
    Study study = sample_study();
    study.seeds = {1};
    EXPECT_FALSE(cost_threshold(study, "local"));
    EXPECT_NE(all_findings(study).find("With one seed"), std::string::npos);
}

TEST(Findings, NameTheBatchSizeBelowWhichLocalCosts) {
    EXPECT_NE(all_findings(sample_study(1)).find("Below 8 samples per replica, local costs more than one"),
              std::string::npos);
    EXPECT_NE(all_findings(sample_study(10)).find("At no batch size from 2 samples"), std::string::npos);
    EXPECT_NE(all_findings(sample_study(0.01)).find("At every batch size up to 16 samples"),
              std::string::npos);
}

TEST(Findings, CountWhatFailed) {
    Study study = sample_study();
    study.combinations[0].outcome = study.combinations[1].outcome = Outcome::failed;
    EXPECT_NE(all_findings(study).find("2 combinations have failed"), std::string::npos);
}

TEST(Csv, QuotesWhatNeedsIt) {
    EXPECT_EQ(csv_field("plain"), "plain");
    EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
    EXPECT_EQ(csv_field("a \"b\"\nc"), "\"a \"\"b\"\"\nc\"");
}

TEST(Csv, HasOneLineForEachCombinationAndTimesLast) {
    const Study study = sample_study();
    const std::string csv = results_csv(study);
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(csv, '\n')), study.combinations.size() + 1);
    const std::string head = csv.substr(0, csv.find('\n'));
    EXPECT_LT(head.find("reason"), head.find("seconds"));
    const std::string line = csv.substr(head.size() + 1, csv.find('\n', head.size() + 1) - head.size() - 1);
    EXPECT_EQ(std::ranges::count(line, ','), std::ranges::count(head, ','));
}

TEST(StudyJson, ACombinationComesBackWhole) {
    Combination one = test::sample_combination("group:4", 4, 3, 0.5);
    one.outcome = Outcome::failed;
    one.reason = "a \"reason\", with <signs> & ümlauts";
    one.epochs[0].drift = not_measured;
    EXPECT_EQ(to_json(combination_from_json(to_json(one), "here")), to_json(one));
}

TEST(StudyJson, OfTheWholeStudyParses) {
    const auto parsed = nlohmann::json::parse(to_json(sample_study()));
    EXPECT_EQ(parsed.at("combinations").size(), 24u);
    EXPECT_EQ(parsed.at("prediction").at("rows").size(), 4u);
}

TEST(StudyJson, DamageIsAnErrorThatNamesTheFile) {
    const std::string good = to_json(test::sample_combination("local", 2, 1, 0));
    const auto with = [&](const char* name, auto value) {
        auto object = nlohmann::json::parse(good);
        object[name] = value;
        return object.dump();
    };
    for (const std::string& bad : {std::string("{}"), std::string("rubbish"), good.substr(0, good.size() / 2),
                                   with("ranks", 1e45), with("ranks", std::int64_t{1} << 32),
                                   with("replicas", 1.5), with("seed", -1), with("batch_size", true)}) {
        try {
            combination_from_json(bad, "records/a.json");
            ADD_FAILURE() << bad;
        } catch (const FileError& error) {
            EXPECT_NE(std::string(error.what()).find("records/a.json"), std::string::npos);
        }
    }
}

}  // namespace
}  // namespace lockstep
