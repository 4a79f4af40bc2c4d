/// What the doctor makes of facts that one machine cannot show: several hosts, bindings, other jobs.
#include "launch/doctor_findings.hpp"
#include "launch/watchdog.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace lockstep::launch {
namespace {

RankFacts rank_on(int rank, const std::string& host, std::vector<int> cores) {
    return {.rank = rank,
            .host = host,
            .kernel = "boot of " + host,
            .version = "0.1.0",
            .library = "Open MPI v4.1.4",
            .kernels = "avx512",
            .products = "avx2",
            .forced = "",
            .cores = std::move(cores),
            .busy = {},
            .huge_pages = "madvise",
            .environment = {{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMP_NUM_THREADS", "1"}}};
}

/// Two hosts, two ranks each, in the order that --map-by node gives; four cores a host.
std::vector<RankFacts> healthy() {
    return {rank_on(0, "a", {0}), rank_on(1, "b", {0}), rank_on(2, "a", {1}), rank_on(3, "b", {1})};
}

/// All that is worse than a note, as "SUBJECT: text -> advice".
std::string complaints(const Findings& found) {
    std::string text;
    for (const Finding& one : found)
        if (one.verdict >= Verdict::warning)
            text += one.subject + ": " + one.text + " -> " + one.advice + "\n";
    return text;
}

void expect_part(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in '" << text << "'";
}

TEST(DoctorFindings, AHealthyJobHasNoComplaints) {
    const auto ranks = healthy();
    EXPECT_EQ(complaints(judge_versions(ranks)), "");
    EXPECT_EQ(complaints(judge_instruction_sets(ranks)), "");
    EXPECT_EQ(complaints(judge_cores(ranks)), "");
    EXPECT_EQ(complaints(judge_huge_pages(ranks)), "");
}

TEST(DoctorFindings, ListsAreShort) {
    EXPECT_EQ(rank_list({3}), "rank 3");
    EXPECT_EQ(rank_list({0, 1, 2, 7}), "ranks 0-2, 7");
    EXPECT_EQ(core_list({0, 2, 3}), "0,2-3");
}

TEST(DoctorFindings, AnotherInstallationOnOneHostIsAnError) {
    auto ranks = healthy();
    ranks[1].version = ranks[3].version = "0.0.9";
    const std::string text = complaints(judge_versions(ranks));
    expect_part(text, "0.0.9 on ranks 1, 3");
    expect_part(text, "0.1.0 on ranks 0, 2");
}

TEST(DoctorFindings, ALoneRankIsAnErrorOfTheLauncher) {
    expect_part(complaints(judge_versions({rank_on(0, "a", {0})})),
                "launcher: MPI gives this process 1 rank, but OMPI_COMM_WORLD_SIZE=4 promises 4");
}

TEST(DoctorFindings, TheNarrowestInstructionSetIsNamed) {
    auto ranks = healthy();
    ranks[2].products = "portable";
    const Finding found = judge_instruction_sets(ranks).front();
    EXPECT_EQ(found.verdict, Verdict::note);
    expect_part(found.text, "avx2 on ranks 0-1, 3; portable on rank 2, so that all use portable");
    ranks[1].forced = "avx2";
    expect_part(complaints(judge_instruction_sets(ranks)), "avx2 on rank 1; nothing on ranks 0, 2-3");
}

TEST(DoctorFindings, MoreRanksThanCoresMustYield) {
    auto ranks = healthy();
    for (RankFacts& one : ranks) one.cores = {0};
    std::string text = complaints(judge_cores(ranks));
    expect_part(text, "a: 2 ranks on 1 core (0)");
    expect_part(text, "mpi_yield_when_idle 1");
    for (RankFacts& one : ranks) one.environment["OMPI_MCA_mpi_yield_when_idle"] = "1";
    text = complaints(judge_cores(ranks));
    expect_part(text, "b: 2 ranks on 1 core (0)");
    EXPECT_EQ(text.find("yield"), std::string::npos) << text;
}

TEST(DoctorFindings, RanksOfOneHostBoundToOneCoreAreNamed) {
    auto ranks = healthy();
    ranks.push_back(rank_on(4, "a", {1}));
    const std::string text = complaints(judge_cores(ranks));
    expect_part(text, "binding: a: ranks 2, 4 are bound to core 1, while others are free");
}

TEST(DoctorFindings, AnotherJobOnTheSameCoresIsSeen) {
    auto ranks = healthy();
    for (RankFacts& one : ranks) one.cores = {0, 1, 2, 3};
    ranks[0].busy = {0, 1};
    EXPECT_EQ(complaints(judge_cores(ranks)), "") << "two cores are left for two ranks";
    ranks[0].busy = {0, 1, 2};
    expect_part(complaints(judge_cores(ranks)), "other jobs: a: another job keeps cores 0-2 busy");
    ranks = healthy();
    ranks.push_back(rank_on(4, "a", {2, 3, 4}));
    ranks[0].busy = {0};
    expect_part(complaints(judge_cores(ranks)), "core 0 busy, which ranks of this one are bound to");
}

TEST(DoctorFindings, ThreadsThatDifferAreAWarning) {
    auto ranks = healthy();
    ranks[3].environment.erase("OMP_NUM_THREADS");
    expect_part(complaints(judge_cores(ranks)), "not set on rank 3");
}

TEST(Watchdog, EndsWhatHangsAndSaysWhere) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            Watchdog watchdog(0.2);
            watchdog.watch("the output folder");
            std::this_thread::sleep_for(std::chrono::minutes(1));
        },
        testing::ExitedWithCode(1), "out of time after 0.2 s at: the output folder");
}

}  // namespace
}  // namespace lockstep::launch
