/// The launcher: `mpirun -n 4 lockstep COMMAND --option value …`
#include "command.hpp"
#include "console.hpp"
#include "doctor.hpp"
#include "failure.hpp"
#include "lone_rank.hpp"
#include "mpi_library.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/instruction_set_agreement.hpp>
#include <lockstep/comm/session.hpp>

#include <mpi.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace lockstep::launch;

constexpr const char* usage =
    "Lockstep trains networks with batch normalization on many MPI processes, with the same bits at any "
    "number of them.\n"
    "\n"
    "  mpirun -n RANKS lockstep train [options]       train a network\n"
    "  mpirun -n RANKS lockstep evaluate [options]    evaluate weights on the test set\n"
    "  mpirun -n RANKS lockstep predict [options]     write what a trained network predicts\n"
    "  mpirun -n RANKS lockstep compare [options]     synchronized against local batch norm, as a report\n"
    "  mpirun -n RANKS lockstep bench WHAT [options]  measure kernels, allreduce, step, infer or scaling\n"
    "  mpirun -n RANKS lockstep doctor [options]      what is right and wrong here, before a run begins\n"
    "\n"
    "Each command prints its options with --help; lockstep --version says what it is made of. A first run, "
    "on "
    "the built-in digits:\n"
    "\n"
    "  mpirun -n 2 lockstep train --config configs/digits_mlp.cfg --bn sync\n";

/// The words of the command line; -h is --help, and no word at all is help.
std::vector<std::string> words_of(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    std::ranges::replace(words, std::string("-h"), std::string("--help"));
    if (words.empty()) words.emplace_back("help");
    return words;
}

bool asks_for_help(const std::vector<std::string>& words) {
    return std::ranges::find(words, "--help") != words.end();
}

/// Whether no work is asked for, only words.
bool only_informs(const std::vector<std::string>& words) {
    const std::string& command = words.front();
    return asks_for_help(words) || command == "help" || command == "version" || command == "--version";
}

/// Before anything is computed, on all ranks, also where a command sets only some of them to work.
void settle_instruction_set(const lockstep::Communicator& world) {
    const lockstep::InstructionSetAgreement agreed = lockstep::agree_on_instruction_set(world);
    if (world.rank() != 0 || !agreed.narrowed()) return;
    std::printf(
        "  matrix products use %s, not %s: rank %d has nothing wider, and all must have the same bits\n",
        std::string(to_string(agreed.products)).c_str(), std::string(to_string(agreed.widest)).c_str(),
        agreed.narrowest_rank);
}

/// How long ranks wait for each other before the command has read its options, and files with options: what --timeout
/// says, where that makes sense; what does not, the command complains of.
double first_timeout_seconds(const std::vector<std::string>& words) {
    constexpr std::string_view name = "--timeout";
    double seconds =
        words.front() == "doctor" ? doctor_seconds : lockstep::CommunicatorOptions().timeout_seconds;
    for (std::size_t i = 1; i < words.size(); ++i) {
        std::string_view text = words[i];
        if (text == name && i + 1 < words.size())
            text = words[i + 1];
        else if (text.starts_with(name) && text.substr(name.size()).starts_with('='))
            text.remove_prefix(name.size() + 1);
        else
            continue;
        double given = 0;
        std::from_chars(text.data(), text.data() + text.size(), given);
        if (given > 0 && std::isfinite(given)) seconds = given;
    }
    return words.front() == "doctor" ? seconds * doctor_exchange_share : seconds;
}

void run(const std::vector<std::string>& words, const lockstep::Communicator& world) {
    const std::string& command = words.front();
    const std::vector<std::string> arguments(words.begin() + 1, words.end());
    // A rank that only prints its help would leave the others waiting for it.
    const bool help = asks_for_help(arguments);
    lockstep::check_agreement(world, "what to do", {{"command", help ? command + " --help" : command}});
    if (command == "doctor") return doctor_command(arguments);  // which is to say what does not agree
    if (!help) settle_instruction_set(world);
    if (command == "train") return train_command(arguments);
    if (command == "evaluate") return evaluate_command(arguments);
    if (command == "predict") return predict_command(arguments);
    if (command == "compare") return compare_command(arguments);
    if (command == "bench") return bench_command(arguments);
    if (command == "help" || command == "--help") return print_once(usage);
    if (command == "version" || command == "--version") return print_once(version_text());
    throw lockstep::UsageError("'" + command +
                               "' is no command; there are train, evaluate, predict, compare, bench and "
                               "doctor (see lockstep --help)");
}

/// Runs that were meant as one would each go their own way, and share a folder. Help and version tell what to
/// do about it, so they are not refused.
void check_alone(const std::vector<std::string>& words) {
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const Environment environment = initial_environment();
    const auto alone = find_lone_rank(environment, size, mpi_library());
    if (!alone) return;
    // The doctor makes it a finding, once for all of them.
    const auto rank = announced_rank(environment);
    if (words.front() == "doctor" && (!rank || rank->value == 0)) return;
    if (alone->certain && !only_informs(words)) throw lockstep::UsageError(alone->text);
    std::fprintf(stderr, "lockstep: warning: %s\n", alone->text.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow any more is an error that has a text
    const lockstep::Session session(argc, argv);
    const FailureReport failure;
    bool all_have_met = false;
    try {
        const std::vector<std::string> words = words_of(argc, argv);
        check_alone(words);
        const lockstep::Communicator world(MPI_COMM_WORLD, {.timeout_seconds = first_timeout_seconds(words)});
        all_have_met = true;
        run(words, world);
        return 0;
    } catch (const StoppedEarly&) {
        return exit_code_of_stopped;
    } catch (const std::bad_alloc&) {
        failure.report("out of memory: use fewer replicas on each rank, a smaller batch or a smaller model",
                       !all_have_met);
    } catch (const std::exception& error) {
        failure.report(error.what(), !all_have_met);
    }
    return 1;
}
