/// `lockstep doctor`: what is right and wrong with this machine, this MPI and this folder, before a run begins.
#include "doctor.hpp"

#include "command.hpp"
#include "console.hpp"
#include "option_table.hpp"
#include "rank_facts.hpp"
#include "watchdog.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/instruction_set_agreement.hpp>

#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

namespace lockstep::launch {
namespace {

constexpr const char* usage =
    "mpirun -n RANKS lockstep doctor [options]\n"
    "\n"
    "Looks at versions, instruction sets, cores, binding, transport, the output folder and what killed jobs "
    "have\n"
    "left, and checks that all ranks compute the same bits. Start it as you would start the run. It ends "
    "with 1 if\n"
    "it finds an error.\n";

struct DoctorOptions {
    std::filesystem::path output = "runs";
    double timeout_seconds = doctor_seconds;
    bool help = false;
};

void add_options(OptionTable& table, DoctorOptions& options) {
    table.group("Options");
    table.add("output", options.output, path_as_given(), "the folder that the run is to write",
              OptionRole::call);
    table.add("timeout", options.timeout_seconds, "seconds that it may take", OptionRole::call);
    table.add_switch("help", options.help, "print this");
}

const char* word(Verdict verdict) {
    static constexpr const char* words[] = {"ok", "note", "WARNING", "ERROR"};
    return words[static_cast<std::size_t>(verdict)];
}

void print(const Findings& found) {
    for (const Finding& one : found) {
        std::printf("  %-8s %-14s %s\n", word(one.verdict), one.subject.c_str(), one.text.c_str());
        if (!one.advice.empty()) std::printf("  %-8s %-14s -> %s\n", "", "", one.advice.c_str());
    }
    std::fflush(stdout);
}

std::ptrdiff_t count(const Findings& found, Verdict verdict) {
    return std::ranges::count(found, verdict, &Finding::verdict);
}

std::string counted(std::ptrdiff_t number, const std::string& what) {
    return (number == 0 ? "no" : std::to_string(number)) + " " + what + (number == 1 ? "" : "s");
}

/// Runs one part after the other and prints what each finds at once: a part that hangs leaves what was found before.
class Examination {
  public:
    Examination(const Communicator& communicator, double seconds)
        : communicator_(communicator), watchdog_(seconds) {}

    void part(const char* name, const std::function<Findings()>& examine) {
        watchdog_.watch(name);
        Findings found = examine();
        if (communicator_.rank() == 0) print(found);
        std::ranges::move(found, std::back_inserter(all_));
    }

    /// Throws, the same on every rank, if an error was found.
    void conclude() {
        watchdog_.watch("the end");
        if (communicator_.rank() == 0)
            std::printf("\n%s, %s\n", counted(count(all_, Verdict::error), "error").c_str(),
                        counted(count(all_, Verdict::warning), "warning").c_str());
        // Some findings are rank 0's alone.
        const std::string wrong = communicator_.all_gather(subjects_of_errors(), "what is wrong")[0];
        if (!wrong.empty()) throw UsageError("doctor: see what it says of " + wrong);
    }

  private:
    std::string subjects_of_errors() const {
        std::string text;
        for (const Finding& one : all_)
            if (one.verdict == Verdict::error) text += (text.empty() ? "" : ", ") + one.subject;
        return text;
    }

    const Communicator& communicator_;
    Watchdog watchdog_;
    Findings all_;
};

void examine(const DoctorOptions& options) {
    // A rank that does not come is told by name long before the watchdog barks.
    const Communicator communicator(MPI_COMM_WORLD,
                                    {.timeout_seconds = options.timeout_seconds * doctor_exchange_share});
    Examination examination(communicator, options.timeout_seconds);
    std::vector<RankFacts> ranks;
    examination.part("what each rank is", [&] {
        ranks = gather_facts(communicator);
        if (communicator.rank() == 0)
            std::printf("lockstep doctor: %zu %s, %zu %s\n\n", ranks.size(),
                        ranks.size() == 1 ? "rank" : "ranks", by_host(ranks).size(),
                        by_host(ranks).size() == 1 ? "host" : "hosts");
        return judge_versions(ranks);
    });
    bool comparable = true;
    examination.part("instruction sets", [&] {
        Findings found = judge_instruction_sets(ranks);
        try {
            agree_on_instruction_set(communicator);
        } catch (const Error& error) {
            comparable = false;
            if (count(found, Verdict::error) == 0)
                found = {{Verdict::error, "instructions", error.what(), "name one that there is, or none"}};
        }
        return found;
    });
    examination.part("cores", [&] { return judge_cores(ranks); });
    examination.part("huge pages", [&] { return judge_huge_pages(ranks); });
    examination.part("transport", [&] { return examine_transport(communicator, ranks); });
    examination.part("files", [&] { return examine_files(communicator, ranks, options.output); });
    if (comparable) examination.part("a short training", [&] { return examine_bits(communicator); });
    examination.conclude();
}

}  // namespace

void doctor_command(const std::vector<std::string>& arguments) {
    DoctorOptions options;
    OptionTable table;
    add_options(table, options);
    table.read_words(arguments);
    if (options.help) return print_once(usage + table.help());
    if (!(options.timeout_seconds >= 1)) throw UsageError("timeout: give it a second at least");
    examine(options);
}

}  // namespace lockstep::launch
