// The same network in PyTorch, from the same weights: the same losses, gradients, parameters and averages.
// The reference is made by tests/support/make_pytorch_reference.py.
#include <support/reference_network.hpp>
#include <support/training.hpp>

#include <lockstep/train/checkpoint.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

namespace lockstep::test {
namespace {

const std::filesystem::path folder = LOCKSTEP_PYTORCH_REFERENCE;
constexpr Index samples = 43, side = 4;
constexpr int classes = 3;

/// As random_bytes of the script.
std::vector<std::uint8_t> random_bytes(Index count, std::uint64_t state) {
    std::vector<std::uint8_t> values;
    for (Index i = 0; i < count; ++i) {
        state = (1103515245 * state + 12345) % (std::uint64_t{1} << 31);
        values.push_back(static_cast<std::uint8_t>(state >> 16 & 255));
    }
    return values;
}

Images make_data() {
    Images data;
    data.title = "formula";
    data.shape = {side, side, 1};
    data.classes = classes;
    data.pixels = random_bytes(samples * side * side, 1);
    for (Index i = 0; i < samples; ++i) {
        const std::uint8_t* const pixels = data.sample(i);
        data.labels.push_back(static_cast<std::uint8_t>((pixels[0] + pixels[1]) * classes / 511));
    }
    return data;
}

using Reference = std::map<std::string, std::vector<double>>;

Reference read_reference(const std::string& name) {
    std::ifstream file(folder / (name + ".txt"));
    Reference reference;
    std::string title;
    for (std::size_t count = 0; file >> title >> count;)
        for (double value = 0; count > 0 && file >> value; --count) reference[title].push_back(value);
    return reference;
}

/// Batches of 8, as four replicas of 2, which synchronize.
TrainerOptions options_of(OptimizerKind optimizer) {
    TrainerOptions options;
    options.model = "batchnorm, linear 6, relu, batchnorm, linear 3";
    options.replicas = 4;
    options.batch_size = 2;
    options.shuffle = false;
    options.schedule.epochs = 9;
    options.optimizer.kind = optimizer;
    options.optimizer.nesterov = optimizer == OptimizerKind::sgd;
    options.optimizer.weight_decay = optimizer == OptimizerKind::sgd ? 0.01 : 0.05;
    options.schedule.learning_rate = optimizer == OptimizerKind::sgd ? 0.1 : 0.01;
    return options;
}

template <class Scalar>
void expect_pytorch(OptimizerKind optimizer, double tolerance) {
    const Reference reference = read_reference(std::string(to_string(optimizer)));
    ASSERT_EQ(reference.at("losses").size(), 54U);
    const Images data = make_data();
    Trainer<Scalar> trainer(options_of(optimizer), data, Communicator(MPI_COMM_WORLD));
    load_weights(SafetensorsFile::read(folder / "initial.safetensors"), trainer.network());
    std::vector<double> losses;
    while (trainer.epoch() < trainer.options().schedule.epochs)
        trainer.run_epoch([&](const StepResult& step) { losses.push_back(step.loss); });

    const auto& network = std::as_const(trainer).network();
    for (std::size_t i = 0; i < losses.size(); ++i)
        EXPECT_NEAR(losses[i] / reference.at("losses")[i], 1, tolerance) << "step " << i;
    EXPECT_LT(relative_difference(values_of(network.layout().parameters(), network.parameters()),
                                  reference.at("parameters")),
              tolerance);
    EXPECT_LT(relative_difference(values_of(network.layout().averages(), network.averages()),
                                  reference.at("averages")),
              tolerance);
}

TEST(PyTorch, SgdInDouble) {
    expect_pytorch<double>(OptimizerKind::sgd, 1e-9);
}
TEST(PyTorch, AdamWInDouble) {
    expect_pytorch<double>(OptimizerKind::adamw, 1e-9);
}
TEST(PyTorch, SgdInFloat) {
    expect_pytorch<float>(OptimizerKind::sgd, 1e-3);
}
TEST(PyTorch, AdamWInFloat) {
    expect_pytorch<float>(OptimizerKind::adamw, 1e-3);
}

// One step of plain descent at rate 1 moves the parameters by their gradients.
TEST(PyTorch, GradientsOfTheFirstStep) {
    TrainerOptions options = options_of(OptimizerKind::sgd);
    options.optimizer = {.momentum = 0};
    options.schedule.learning_rate = 1;
    const Images data = make_data();
    Trainer<double> trainer(options, data, Communicator(MPI_COMM_WORLD));
    load_weights(SafetensorsFile::read(folder / "initial.safetensors"), trainer.network());
    const auto& network = std::as_const(trainer).network();
    auto gradients = values_of(network.layout().parameters(), network.parameters());
    trainer.step(0);
    const auto after = values_of(network.layout().parameters(), network.parameters());
    for (std::size_t i = 0; i < after.size(); ++i) gradients[i] -= after[i];
    EXPECT_LT(relative_difference(gradients, read_reference("sgd").at("gradients")), 1e-9);
}

}  // namespace
}  // namespace lockstep::test
