/// A loss of your own: a name, by which ranks and checkpoints know it, and a function of one sample.
#include <lockstep/lockstep.hpp>

#include <algorithm>
#include <cstdio>
#include <span>

using namespace lockstep;

/// The squared hinge: each output aₖ of a wrong class k should stay below that of the right one, aₜ, by 1.
///
///     loss = Σₖ max(0, 1 + aₖ − aₜ)²        k ≠ t
const auto squared_hinge = [](std::span<const double> outputs, std::span<const double> target,
                              std::span<double> gradient) {
    const auto right = static_cast<std::size_t>(target[0]);
    double loss = 0;
    std::ranges::fill(gradient, 0.0);  // empty where no gradient is wanted
    for (std::size_t k = 0; k < outputs.size(); ++k) {
        const double excess = k == right ? 0 : std::max(0.0, 1 + outputs[k] - outputs[right]);
        loss += excess * excess;
        if (gradient.empty()) continue;
        gradient[k] += 2 * excess;
        gradient[right] -= 2 * excess;
    }
    return loss;
};

int main(int argc, char** argv) {
    const Session mpi(argc, argv);
    const Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const Images digits = make_digits(1, 0, 1000);
    TrainerOptions options{.model = "batchnorm, linear 50, relu, batchnorm, linear 10", .replicas = 4};
    options.loss = own_loss("squared hinge", squared_hinge);
    options.batch_size = 16;
    options.schedule.learning_rate = 0.02;
    Trainer<float> trainer(options, digits, comm);
    for (int epoch = 0; epoch < 5; ++epoch) {
        const EpochResult result = trainer.run_epoch();
        if (comm.rank() == 0) std::printf("loss %.4f, accuracy %.2f %%\n", result.loss, 100 * result.score);
    }
    if (comm.rank() == 0) std::printf("fingerprint: %s\n", to_hex16(fingerprint(trainer.network())).c_str());
}
