/// `lockstep evaluate`: what a trained network is worth on the test set.
#include "command.hpp"
#include "console.hpp"
#include "options.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/weights.hpp>

#include <mpi.h>

#include <iostream>

namespace lockstep::launch {

void evaluate_command(const std::vector<std::string>& arguments) {
    namespace po = boost::program_options;
    // A run's config.cfg can be given as it is: what only training asks for is read and not used.
    po::options_description own("Evaluation");
    own.add_options()("weights", po::value<std::string>(), "the .safetensors file to evaluate");
    po::options_description known;
    known.add(own).add(training_options());
    const auto values = parse_arguments(arguments, known);
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = values["timeout"].as<double>()});
    if (values["help"].as<bool>()) {
        if (communicator.rank() == 0)
            std::cout << "mpirun -n RANKS lockstep evaluate --config DIR/config.cfg --weights "
                         "DIR/model.safetensors\n"
                      << own << model_options() << std::flush;
        return;
    }
    if (!values.count("weights"))
        throw UsageError(
            "weights: which? give a .safetensors file with --weights, such as DIR/model.safetensors");
    const std::filesystem::path weights = values["weights"].as<std::string>();
    const RunOptions options = to_run_options(values);
    const DatasetPair data = load_dataset(options.data);

    // Evaluation needs no replicas but this process: infer never communicates.
    Network<float> network(parse_model(options.trainer.model), data.train.shape,
                           {.communicator = Communicator::self(),
                            .placement = {},
                            .epsilon = options.trainer.epsilon,
                            .momentum = options.trainer.running_momentum});
    load_weights(SafetensorsFile::read(weights), network);
    check_agreement(communicator, "what to evaluate",
                    {{"model", options.trainer.model},
                     {"weights", to_hex16(fingerprint(network))},
                     {"test data", to_hex16(data.test.hash())}});
    const Evaluation result =
        evaluate(network, data.test, InputTransform(options.trainer.input, data.train), communicator);
    Console(communicator.rank() == 0).evaluation(result, data.test.size());
}

}  // namespace lockstep::launch
