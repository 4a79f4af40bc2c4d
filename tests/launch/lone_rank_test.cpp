/// A rank that was started with others and does not see them is found, and no other.
#include "launch/lone_rank.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace lockstep::launch {
namespace {

std::string text_of(const Environment& environment, int size = 1) {
    const auto alone = find_lone_rank(environment, size, "Open MPI v4");
    return alone ? alone->text : "";
}

/// Each of `parts` is said, and it is certain or not.
void expect(bool certain, const Environment& environment, const std::vector<std::string>& parts) {
    const auto alone = find_lone_rank(environment, 1, "Open MPI v4");
    ASSERT_TRUE(alone) << parts.front();
    EXPECT_EQ(alone->certain, certain) << alone->text;
    for (const std::string& part : parts)
        EXPECT_NE(alone->text.find(part), std::string::npos)
            << "no '" << part << "' in '" << alone->text << "'";
}

TEST(LoneRank, IsCertainWhereALauncherOfMpiPromisesMore) {
    expect(true, {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}, {"PMI_SIZE=2 promises 2", "mpirun", "Open MPI v4"});
    expect(true, {{"OMPI_COMM_WORLD_SIZE", "16"}}, {"OMPI_COMM_WORLD_SIZE=16 promises 16"});
    expect(true, {{"MV2_COMM_WORLD_SIZE", "4"}}, {"MV2_COMM_WORLD_SIZE=4"});
    expect(true, {{"JSM_NAMESPACE_SIZE", "6"}, {"PMIX_RANK", "0"}}, {"JSM_NAMESPACE_SIZE=6"});
}

TEST(LoneRank, IsLikelyInAStepOfSrun) {
    const Environment step = {{"SLURM_JOB_ID", "7"},
                              {"SLURM_STEP_ID", "0"},
                              {"SLURM_NTASKS", "3"},
                              {"SLURM_STEP_NUM_TASKS", "3"},
                              {"SLURM_PROCID", "0"}};
    expect(false, step, {"SLURM_STEP_NUM_TASKS=3 promises 3", "srun --mpi"});
    Environment with_pmi = step;
    with_pmi["PMI_SIZE"] = "3";
    expect(true, with_pmi, {"PMI_SIZE=3 and SLURM_STEP_NUM_TASKS=3 promise 3"});
    Environment with_pmix = step;
    with_pmix["PMIX_RANK"] = "0";
    expect(false, with_pmix, {"SLURM_STEP_NUM_TASKS=3 promises 3"});
    expect(false, {{"SLURM_STEP_ID", "2"}, {"SLURM_NTASKS", "2"}}, {"SLURM_NTASKS=2 promises 2"});
}

TEST(LoneRank, IsLikelyWhereItsNumberIsNotTheFirst) {
    expect(false, {{"PMIX_RANK", "1"}}, {"PMIX_RANK=1 promises at least 2"});
    expect(false, {{"PMI_RANK", "5"}}, {"PMI_RANK=5 promises at least 6"});
}

TEST(LoneRank, IsNotFoundWhereOneRankIsMeant) {
    EXPECT_EQ(text_of({}), "");
    EXPECT_EQ(text_of({{"HOME", "/root"}, {"PMIX_RANK", "0"}, {"PMI_RANK", "0"}}), "");
    EXPECT_EQ(text_of({{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"PMIX_RANK", "0"}}),
              "");
    EXPECT_EQ(text_of({{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}}), "");
    EXPECT_EQ(text_of({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "1"}}), "");
}

TEST(LoneRank, IsNotFoundInAScriptOrShellOfAnAllocation) {
    EXPECT_EQ(
        text_of(
            {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "64"}, {"SLURM_NPROCS", "64"}, {"SLURM_PROCID", "0"}}),
        "");
    // sbatch's own step, and the shell of salloc, by number.
    EXPECT_EQ(text_of({{"SLURM_STEP_ID", "4294967291"}, {"SLURM_NTASKS", "64"}}), "");
    EXPECT_EQ(
        text_of({{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "64"}}),
        "");
}

TEST(LoneRank, IsNotFoundWhereMpirunStartedItsHelpersByASrunOfItsOwn) {
    const Environment step = {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_NTASKS", "64"}};
    for (const char* launcher : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
        Environment environment = step;
        environment[launcher] = "1";
        EXPECT_EQ(text_of(environment), "") << launcher;
    }
}

TEST(LoneRank, IsNotFoundWhereThereAreMoreRanks) {
    for (const int size : {2, 3, 64})
        EXPECT_EQ(text_of({{"PMI_SIZE", "2"}, {"OMPI_COMM_WORLD_SIZE", "64"}, {"PMIX_RANK", "1"}}, size), "");
}

TEST(LoneRank, IsNotFoundByWhatIsNoNumber) {
    for (const char* text : {"", "two", "2(x2)", "-3", "0", "99999999999999999999"})
        EXPECT_EQ(text_of({{"PMI_SIZE", text}, {"PMIX_RANK", text}, {"SLURM_STEP_NUM_TASKS", text}}), "")
            << text;
}

TEST(Environment, IsWhatTheProcessWasStartedWith) {
    EXPECT_EQ(initial_environment().at("PATH"), std::getenv("PATH"));
    // As MPI_Init does it.
    ::setenv("LOCKSTEP_TEST_OF_ENVIRONMENT", "a=b", 1);
    EXPECT_FALSE(initial_environment().contains("LOCKSTEP_TEST_OF_ENVIRONMENT"));
    ::unsetenv("LOCKSTEP_TEST_OF_ENVIRONMENT");
}

TEST(Rank, IsFoundUnderEachLauncher) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"}) {
        const auto rank = announced_rank({{name, "3"}, {"SLURM_PROCID", "2"}});
        ASSERT_TRUE(rank) << name;
        EXPECT_EQ(to_string(*rank), std::string(name) + "=3");
    }
    EXPECT_FALSE(announced_rank({{"SLURM_PROCID", "0"}, {"PMI_RANK", "none"}}));
}

}  // namespace
}  // namespace lockstep::launch
