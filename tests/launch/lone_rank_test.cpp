/// A warning for a rank that was started with others and does not see them, and for no other.
#include "launch/lone_rank.hpp"

#include <gtest/gtest.h>

namespace lockstep::launch {
namespace {

std::string warning(const Environment& environment, int size = 1) {
    return lone_rank_warning(environment, size, "Open MPI v4").value_or("");
}

/// Each of `parts` is in the warning.
void expect_warning(const Environment& environment, const std::vector<std::string>& parts) {
    const std::string text = warning(environment);
    for (const std::string& part : parts)
        EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in '" << text << "'";
}

TEST(LoneRank, IsWarnedWhereALauncherPromisesMore) {
    expect_warning({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}},
                   {"PMI_SIZE=2 promises 2", "mpirun", "Open MPI v4"});
    expect_warning({{"OMPI_COMM_WORLD_SIZE", "16"}}, {"OMPI_COMM_WORLD_SIZE=16 promises 16"});
    expect_warning({{"MV2_COMM_WORLD_SIZE", "4"}}, {"MV2_COMM_WORLD_SIZE=4"});
    expect_warning({{"JSM_NAMESPACE_SIZE", "6"}, {"PMIX_RANK", "0"}}, {"JSM_NAMESPACE_SIZE=6"});
}

TEST(LoneRank, IsWarnedInAStepOfSrun) {
    const Environment step = {{"SLURM_JOB_ID", "7"},
                              {"SLURM_STEP_ID", "0"},
                              {"SLURM_NTASKS", "3"},
                              {"SLURM_STEP_NUM_TASKS", "3"},
                              {"SLURM_PROCID", "0"}};
    expect_warning(step, {"SLURM_STEP_NUM_TASKS=3 promises 3", "srun --mpi"});
    Environment with_pmi = step;
    with_pmi["PMI_SIZE"] = "3";
    expect_warning(with_pmi, {"PMI_SIZE=3 and SLURM_STEP_NUM_TASKS=3 promise 3"});
    Environment with_pmix = step;
    with_pmix["PMIX_RANK"] = "0";
    expect_warning(with_pmix, {"SLURM_STEP_NUM_TASKS=3 promises 3"});
    expect_warning({{"SLURM_STEP_ID", "2"}, {"SLURM_NTASKS", "2"}}, {"SLURM_NTASKS=2 promises 2"});
}

TEST(LoneRank, IsWarnedWhereItsRankIsNotTheFirst) {
    expect_warning({{"PMIX_RANK", "1"}}, {"PMIX_RANK=1 promises 2"});
    expect_warning({{"PMI_RANK", "5"}}, {"PMI_RANK=5 promises 6"});
}

TEST(LoneRank, IsNotWarnedWhereOneRankIsMeant) {
    EXPECT_EQ(warning({}), "");
    EXPECT_EQ(warning({{"HOME", "/root"}, {"PMIX_RANK", "0"}, {"PMI_RANK", "0"}}), "");
    EXPECT_EQ(warning({{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"PMIX_RANK", "0"}}),
              "");
    EXPECT_EQ(warning({{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}}), "");
    EXPECT_EQ(warning({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "1"}}), "");
}

TEST(LoneRank, IsNotWarnedInAScriptOrShellOfAnAllocation) {
    EXPECT_EQ(
        warning(
            {{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "64"}, {"SLURM_NPROCS", "64"}, {"SLURM_PROCID", "0"}}),
        "");
    // sbatch's own step, and the shell of salloc, by number.
    EXPECT_EQ(warning({{"SLURM_STEP_ID", "4294967291"}, {"SLURM_NTASKS", "64"}}), "");
    EXPECT_EQ(
        warning({{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "64"}}),
        "");
}

TEST(LoneRank, IsNotWarnedWhereMpirunStartedItsHelpersByASrunOfItsOwn) {
    const Environment step = {{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_NTASKS", "64"}};
    for (const char* launcher : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
        Environment environment = step;
        environment[launcher] = "1";
        EXPECT_EQ(warning(environment), "") << launcher;
    }
}

TEST(LoneRank, IsNotWarnedWhereThereAreMoreRanks) {
    for (const int size : {2, 3, 64})
        EXPECT_EQ(warning({{"PMI_SIZE", "2"}, {"OMPI_COMM_WORLD_SIZE", "64"}, {"PMIX_RANK", "1"}}, size), "");
}

TEST(LoneRank, IsNotWarnedForWhatIsNoNumber) {
    for (const char* text : {"", "two", "2(x2)", "-3", "0", "99999999999999999999"})
        EXPECT_EQ(warning({{"PMI_SIZE", text}, {"PMIX_RANK", text}, {"SLURM_STEP_NUM_TASKS", text}}), "")
            << text;
}

TEST(Environment, HoldsWhatTheProcessWasGiven) {
    ::setenv("LOCKSTEP_TEST_OF_ENVIRONMENT", "a=b", 1);
    EXPECT_EQ(current_environment().at("LOCKSTEP_TEST_OF_ENVIRONMENT"), "a=b");
    ::unsetenv("LOCKSTEP_TEST_OF_ENVIRONMENT");
    EXPECT_FALSE(current_environment().contains("LOCKSTEP_TEST_OF_ENVIRONMENT"));
}

}  // namespace
}  // namespace lockstep::launch
