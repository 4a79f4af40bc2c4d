#include "agreed_run.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/instruction_set_agreement.hpp>
#include <lockstep/data/sample_reader.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/score.hpp>

#include <string>
#include <utility>

namespace lockstep {
namespace {

/// What must hold before anything is sized by the options; the rest is checked with the network at hand.
void check(const TrainerOptions& options, const Dataset& data, Index replicas) {
    if (replicas < 1) throw UsageError("replicas must be at least 1, but is " + std::to_string(replicas));
    if (replicas > data.size())
        throw UsageError("replicas: " + std::to_string(replicas) + " replicas cannot share " +
                         std::to_string(data.size()) + " training samples: ask for at most " +
                         std::to_string(data.size()));
    if (options.batch_size < 1)
        throw UsageError("batch size must be at least 1, but is " + std::to_string(options.batch_size));
}

/// Makes the network once on this rank alone: what refuses, a layer or loss of the user's own on one rank only
/// perhaps, is found before the ranks connect their layers.
template <class Scalar>
void try_network(const TrainerOptions& options, const Dataset& data) {
    const Network<Scalar> network(parse_model(options.model), data.input_shape(),
                                  {.communicator = Communicator::self(),
                                   .placement = {.replicas = 1, .group = 1},
                                   .epsilon = options.epsilon,
                                   .momentum = options.running_momentum});
    check_outputs(*options.loss, data.target(), network.output_shape().size());
}

}  // namespace

AgreedRun agree_on_run(TrainerOptions options, const Dataset& data, const Communicator& communicator,
                       DataSurvey known, std::size_t scalar_bytes) {
    AgreedRun run{std::move(options), std::move(known), {}};
    const std::string fault = fault_of([&] {
        check_outline(data);
        run.options = resolved(std::move(run.options), data);
        check(run.options, data, run.options.replicas.value_or(communicator.size()));
        run.options.optimizer.validate();
        // What was found before was found by all ranks together.
        const std::string description = run.found.description.empty()
                                            ? outline(data) + ", spot checks " + to_hex16(spot_check(data))
                                            : run.found.description;
        if (scalar_bytes == sizeof(float))
            try_network<float>(run.options, data);
        else
            try_network<double>(run.options, data);
        run.settings = settings_of(run.options, description, communicator.size(), scalar_bytes);
        if (const auto& rule = run.options.optimizer.rule)
            for (const std::string& name : rule->state_names())
                run.settings.emplace_back("optimizer's array", name);
    });
    // How long to train does not change what is computed, but all ranks stop together.
    run.settings.emplace_back("epochs in all", std::to_string(run.options.schedule.epochs));
    run.settings.emplace_back("gradient path",
                              run.options.gradient_path == GradientPath::messages ? "messages" : "automatic");
    check_agreement(communicator, "training", run.settings, fault);
    agree_on_instruction_set(communicator);
    const bool standardizes = run.options.input == InputKind::standardized;
    if (run.found.description.empty() || (standardizes && run.found.means.empty()))
        run.found = survey(data, communicator,
                           {.moments = standardizes,
                            .whole = run.options.verify_all_data,
                            .labels = run.options.loss->labels()});
    run.settings = settings_of(run.options, run.found.description, communicator.size(), scalar_bytes);
    return run;
}

}  // namespace lockstep
