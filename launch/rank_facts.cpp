#include "rank_facts.hpp"

#include "core_load.hpp"
#include "mpi_library.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/simd/instruction_set.hpp>

#include <nlohmann/json.hpp>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>

namespace lockstep::launch {
namespace {

/// Others may hold what is nobody's business.
constexpr const char* telling_variables[] = {"OMPI_MCA_mpi_yield_when_idle",
                                             "OMP_NUM_THREADS",
                                             "OMPI_COMM_WORLD_SIZE",
                                             "OMPI_COMM_WORLD_RANK",
                                             "PMI_SIZE",
                                             "PMI_RANK",
                                             "PMIX_RANK",
                                             "MV2_COMM_WORLD_SIZE",
                                             "MV2_COMM_WORLD_RANK",
                                             "JSM_NAMESPACE_SIZE",
                                             "SLURM_STEP_NUM_TASKS",
                                             "SLURM_STEP_ID",
                                             "SLURM_NTASKS",
                                             "OMPI_MCA_pml",
                                             "OMPI_MCA_btl",
                                             "OMPI_MCA_mtl",
                                             "UCX_TLS",
                                             "UCX_NET_DEVICES",
                                             "FI_PROVIDER"};

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "(no name)";
}

std::vector<int> allowed_cores() {
    constexpr int most = 1 << 14;
    struct Free {
        void operator()(cpu_set_t* set) const { CPU_FREE(set); }
    };
    const std::unique_ptr<cpu_set_t, Free> set(CPU_ALLOC(most));
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    std::vector<int> cores;
    if (!set || ::sched_getaffinity(0, bytes, set.get()) != 0) return cores;
    for (int core = 0; core < most; ++core)
        if (CPU_ISSET_S(static_cast<std::size_t>(core), bytes, set.get())) cores.push_back(core);
    return cores;
}

/// The word in brackets of "always [madvise] never".
std::string huge_pages() {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string line;
    std::getline(file, line);
    const std::size_t open = line.find('['), close = line.find(']');
    return open == std::string::npos || close < open ? "" : line.substr(open + 1, close - open - 1);
}

Environment telling_environment() {
    const Environment all = initial_environment();
    Environment kept;
    for (const char* name : telling_variables)
        if (const auto found = all.find(name); found != all.end()) kept.insert(*found);
    return kept;
}

void add_instruction_sets(RankFacts& facts) {
    const Environment all = initial_environment();
    if (const auto found = all.find("LOCKSTEP_INSTRUCTION_SET"); found != all.end())
        facts.forced = found->second;
    try {
        facts.kernels = to_string(active_instruction_set());
        facts.products = to_string(product_instruction_set());
    } catch (const UsageError&) {
        facts.kernels = facts.products = "none: this processor lacks what is forced, or there is no such set";
    }
}

RankFacts facts_of(const Communicator& communicator) {
    RankFacts facts{
        .rank = communicator.rank(),
        .host = host_name(),
        .kernel = machine(),
        .version = std::string(LOCKSTEP_VERSION) + ", " LOCKSTEP_COMPILER ", " LOCKSTEP_BUILD_TYPE,
        .library = mpi_library(),
        .kernels = {},
        .products = {},
        .forced = {},
        .cores = allowed_cores(),
        .busy = {},
        .huge_pages = huge_pages(),
        .environment = telling_environment()};
    add_instruction_sets(facts);
    communicator.wait_for_all("before the job sleeps");
    facts.busy = busy_cores(facts.cores);
    communicator.wait_for_all("after the job has slept");
    return facts;
}

std::string to_json(const RankFacts& facts) {
    return nlohmann::json{{"host", facts.host},
                          {"kernel", facts.kernel},
                          {"version", facts.version},
                          {"library", facts.library},
                          {"kernels", facts.kernels},
                          {"products", facts.products},
                          {"forced", facts.forced},
                          {"cores", facts.cores},
                          {"busy", facts.busy},
                          {"huge pages", facts.huge_pages},
                          {"environment", facts.environment}}
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankFacts from_json(int rank, const std::string& text) {
    const nlohmann::json all = nlohmann::json::parse(text);
    return {.rank = rank,
            .host = all.at("host"),
            .kernel = all.at("kernel"),
            .version = all.at("version"),
            .library = all.at("library"),
            .kernels = all.at("kernels"),
            .products = all.at("products"),
            .forced = all.at("forced"),
            .cores = all.at("cores"),
            .busy = all.at("busy"),
            .huge_pages = all.at("huge pages"),
            .environment = all.at("environment")};
}

}  // namespace

std::string machine() {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id.empty() ? host_name() : id;
}

std::vector<RankFacts> gather_facts(const Communicator& communicator) {
    const std::vector<std::string> texts =
        communicator.all_gather(to_json(facts_of(communicator)), "what each rank is");
    std::vector<RankFacts> all;
    for (std::size_t rank = 0; rank < texts.size(); ++rank)
        all.push_back(from_json(static_cast<int>(rank), texts[rank]));
    return all;
}

std::string hosts_and_ranks(const Communicator& communicator) {
    std::map<std::string, int> ranks;
    for (const std::string& one : communicator.all_gather(machine(), "the hosts")) ++ranks[one];
    const auto counted = [](std::size_t count, const std::string& what) {
        return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    };
    const int first = ranks.begin()->second;
    const bool even = std::ranges::all_of(ranks, [&](const auto& one) { return one.second == first; });
    return counted(ranks.size(), "host") + (even ? " x " : ", ") +
           counted(static_cast<std::size_t>(even ? first : communicator.size()), "rank");
}

}  // namespace lockstep::launch
