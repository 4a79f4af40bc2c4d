// Each loss, each activation and clipping train as in PyTorch, with SGD and with AdamW: the same losses over 50 steps,
// the same parameters and averages after them.
#include "parity_reference.hpp"

#include <support/reference_network.hpp>
#include <support/training.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <utility>

namespace lockstep::test {
namespace {

/// As in make_parity_reference.py: the targets are what the loss is for.
struct FormulaData final : Dataset {
    std::string loss;

    explicit FormulaData(std::string fitting_loss) : loss(std::move(fitting_loss)) {}
    std::string name() const override { return "formula"; }
    Index size() const override { return 39; }
    Shape input_shape() const override { return Shape::dense(5); }
    Target target() const override {
        return loss.starts_with("cross-entropy") ? Target{.classes = 3} : Target{.values = 3};
    }
    void read_input(Index sample, double* values) const override {
        for (Index i = 0; i < 5; ++i)
            values[i] = static_cast<double>(reference_draw(100, sample * 5 + i)) / 504.5 - 1;
    }
    void read_target(Index sample, double* values) const override {
        const Index count = target().size();
        for (Index i = 0; i < count; ++i) {
            const Index drawn = reference_draw(101, sample * count + i);
            if (target().classes > 0)
                values[i] = static_cast<double>(drawn % 3);
            else if (loss == "bce")
                values[i] = static_cast<double>(drawn % 2);
            else
                values[i] = static_cast<double>(drawn) / 252.25 - 2;
        }
    }
};

/// Batches of 7 or 8, as four replicas, which synchronize.
TrainerOptions options_of(const ParityReference& reference) {
    TrainerOptions options;
    options.model = reference.model;
    options.loss = parse_loss(reference.loss);
    options.replicas = 4;
    options.batch_size = 2;
    options.shuffle = false;
    options.clip_norm = reference.clip_norm;
    options.optimizer.kind = parse_optimizer_kind(reference.optimizer);
    const bool sgd = options.optimizer.kind == OptimizerKind::sgd;
    options.optimizer.momentum = 0.9;
    options.optimizer.weight_decay = sgd ? 0.01 : 0.05;
    options.schedule.learning_rate = sgd ? 0.1 : 0.01;
    options.schedule.epochs = 10;
    return options;
}

void expect_sums(const std::vector<double>& values, const ParitySums& expected) {
    EXPECT_NEAR(
        std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0)) / expected.norm, 1,
        1e-9);
    EXPECT_NEAR(weighted_sum(values) / expected.weighted, 1, 1e-9);
}

TEST(PyTorch, TrainsAlikeWithEachLossActivationAndOptimizer) {
    for (const ParityReference& reference : parity_references) {
        SCOPED_TRACE(std::string(reference.model) + "; " + reference.loss + ", " + reference.optimizer +
                     (reference.clip_norm ? ", clipped" : ""));
        const FormulaData data(reference.loss);
        Trainer<double> trainer(options_of(reference), data, Communicator(MPI_COMM_WORLD));
        set_reference_parameters(trainer.network());
        std::vector<double> losses;
        while (trainer.epoch() < trainer.options().schedule.epochs)
            trainer.run_epoch([&](const StepResult& step) { losses.push_back(step.loss); });

        ASSERT_EQ(losses.size(), 50U);
        ASSERT_EQ(reference.losses.size(), 50U);
        for (std::size_t i = 0; i < losses.size(); ++i)
            EXPECT_NEAR(losses[i] / reference.losses[i], 1, 1e-9) << "step " << i;
        const auto& network = std::as_const(trainer).network();
        expect_sums(values_of(network.layout().parameters(), network.parameters()), reference.parameters);
        expect_sums(values_of(network.layout().averages(), network.averages()), reference.averages);
    }
}

}  // namespace
}  // namespace lockstep::test
