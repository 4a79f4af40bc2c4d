#include <lockstep/base/error.hpp>
#include <lockstep/train/optimizer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "optimizer_reference.hpp"

namespace lockstep {
namespace {

using test::OptimizerReference;

const std::vector<ParameterRange> weights{{0, 3}, {5, 6}};

double learning_rate_at(int step) {
    return 0.05 / (1 + step / 4.0);
}

template <class Scalar>
std::vector<Scalar> start_values() {
    return {test::reference_start.begin(), test::reference_start.end()};
}

/// Steps [first, last) on the loss of the reference.
template <class Scalar>
void run_steps(Optimizer<Scalar>& optimizer, std::vector<Scalar>& parameters, int first, int last) {
    std::vector<Scalar> gradients(parameters.size());
    for (int step = first; step < last; ++step) {
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            gradients[i] = static_cast<Scalar>(test::reference_curvature[i]) *
                           (parameters[i] - static_cast<Scalar>(test::reference_minimum[i]));
        }
        optimizer.step(parameters, gradients, learning_rate_at(step));
    }
}

class OptimizerAgainstTorch : public testing::TestWithParam<OptimizerReference> {
  protected:
    static OptimizerOptions options() {
        return {.kind = parse_optimizer_kind(GetParam().kind),
                .momentum = GetParam().momentum,
                .nesterov = GetParam().nesterov,
                .weight_decay = GetParam().weight_decay,
                .decay = parse_weight_decay_scope(GetParam().decay)};
    }

    template <class Scalar>
    static Optimizer<Scalar> make() {
        return Optimizer<Scalar>(options(), std::ssize(test::reference_start), weights);
    }

    template <class Scalar>
    static void expect_reference(double tolerance) {
        auto optimizer = make<Scalar>();
        auto parameters = start_values<Scalar>();
        run_steps(optimizer, parameters, 0, test::reference_steps);
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            const double expected = GetParam().result[i];
            EXPECT_NEAR(parameters[i], expected, tolerance * std::abs(expected)) << "parameter " << i;
        }
    }
};

TEST_P(OptimizerAgainstTorch, DoubleTakesTheSameTenSteps) {
    expect_reference<double>(1e-12);
}

TEST_P(OptimizerAgainstTorch, FloatTakesTheSameTenSteps) {
    expect_reference<float>(2e-5);
}

TEST_P(OptimizerAgainstTorch, ContinuesWithTheSameBitsFromItsState) {
    auto whole = make<float>();
    auto expected = start_values<float>();
    run_steps(whole, expected, 0, test::reference_steps);

    auto first = make<float>();
    auto parameters = start_values<float>();
    run_steps(first, parameters, 0, 4);
    auto second = make<float>();
    second.set_step_count(first.step_count());
    const auto from = first.state(), to = second.state();
    ASSERT_EQ(from.size(), to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
        EXPECT_EQ(from[i].name, to[i].name);
        std::ranges::copy(from[i].values, to[i].values.begin());
    }
    run_steps(second, parameters, 4, test::reference_steps);
    EXPECT_EQ(parameters, expected);

    if (from.empty()) return;
    auto forgetful = make<float>();  // the state matters, or the test above shows nothing
    auto restarted = start_values<float>();
    auto before = make<float>();
    run_steps(before, restarted, 0, 4);
    run_steps(forgetful, restarted, 4, test::reference_steps);
    EXPECT_NE(restarted, expected);
}

// Loops are cut into vectors and a rest; a parameter's bits must not show on which side it was.
TEST_P(OptimizerAgainstTorch, TreatsEveryElementAlikeWhereverItLies) {
    constexpr std::size_t copies = 41;
    OptimizerOptions everywhere = options();
    everywhere.decay = WeightDecayScope::all;
    Optimizer<float> optimizer(everywhere, copies, {});
    std::vector<float> parameters(copies, 0.7f), gradients(copies);
    for (int step = 0; step < 5; ++step) {
        std::ranges::fill(gradients, 0.3f / static_cast<float>(step + 1));
        optimizer.step(parameters, gradients, 0.01);
    }
    EXPECT_EQ(parameters, std::vector<float>(copies, parameters.front()));
    EXPECT_NE(parameters.front(), 0.7f);
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerAgainstTorch, testing::ValuesIn(test::optimizer_references),
                         [](const auto& instance) { return std::string(instance.param.name); });

/// Steps an array in parts, as ranks do that share it, and wherever it lies in memory.
template <class Scalar>
void expect_same_steps_in_parts(const OptimizerOptions& options) {
    constexpr Index size = 9001;
    const std::vector<ParameterRange> decaying{{0, 70}, {4000, 8999}};
    const std::vector<Index> cuts{0, 1, 137, 2048, 2050, 6003, size};
    Optimizer<Scalar> whole(options, size, decaying), in_parts(options, size, decaying);
    std::vector<Scalar> expected(size), gradients(size), memory(size + 1);
    for (Index i = 0; i < size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        expected[at] = memory[at + 1] = static_cast<Scalar>(std::sin(0.1 * static_cast<double>(i)));
    }
    typename Optimizer<Scalar>::Arrays arrays{
        .parameters = memory.data() + 1, .state = {}, .held_elsewhere = true};
    for (const auto& state : in_parts.state()) arrays.state.push_back(state.values.data());
    for (int step = 0; step < 3; ++step) {
        for (std::size_t i = 0; i < gradients.size(); ++i)
            gradients[i] = static_cast<Scalar>(std::cos(0.3 * static_cast<double>(i) + step));
        whole.step(expected, gradients, learning_rate_at(step));
        for (std::size_t part = 1; part < cuts.size(); ++part) {
            const ParameterRange range{cuts[part - 1], cuts[part]};
            in_parts.set_step_count(step);
            in_parts.step(
                arrays, range,
                std::span<const Scalar>(gradients).subspan(static_cast<std::size_t>(range.begin),
                                                           static_cast<std::size_t>(range.end - range.begin)),
                learning_rate_at(step));
        }
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), memory.begin() + 1)) << "step " << step;
    }
    EXPECT_EQ(memory[0], 0);
}

TEST_P(OptimizerAgainstTorch, TakesTheSameStepsInPartsOfASharedArray) {
    expect_same_steps_in_parts<float>(options());
    expect_same_steps_in_parts<double>(options());
}

TEST(Optimizer, DecaysOnlyTheWeightsWhereAskedTo) {
    for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adamw}) {
        const OptimizerOptions options{.kind = kind, .weight_decay = 0.5, .decay = WeightDecayScope::weights};
        Optimizer<double> optimizer(options, 7, weights);
        std::vector<double> parameters(7, 1.0);
        const std::vector<double> gradients(7, 0.0);
        optimizer.step(parameters, gradients, 0.1);
        EXPECT_EQ(parameters, (std::vector<double>{0.95, 0.95, 0.95, 1, 1, 0.95, 1}));
    }
}

TEST(Optimizer, CountsItsStepsAndNamesItsState) {
    Optimizer<float> adamw({.kind = OptimizerKind::adamw}, 3, {});
    ASSERT_EQ(adamw.state().size(), 2u);
    EXPECT_EQ(adamw.state()[0].name, "exp_avg");
    EXPECT_EQ(adamw.state()[1].name, "exp_avg_sq");
    std::vector<float> parameters(3), gradients(3);
    adamw.step(parameters, gradients, 0.1);
    EXPECT_EQ(adamw.step_count(), 1);
    EXPECT_THROW(adamw.set_step_count(-1), UsageError);

    Optimizer<float> momentum({}, 3, {});
    ASSERT_EQ(momentum.state().size(), 1u);
    EXPECT_EQ(momentum.state()[0].name, "momentum_buffer");
    EXPECT_TRUE(Optimizer<float>({.momentum = 0}, 3, {}).state().empty());
}

TEST(Optimizer, RefusesOptionsThatMakeNoSense) {
    const double nan = std::nan("");
    const std::vector<OptimizerOptions> wrong{
        {.momentum = -0.1},
        {.momentum = 1},
        {.momentum = nan},
        {.momentum = 0, .nesterov = true},
        {.weight_decay = -1},
        {.weight_decay = nan},
        {.kind = OptimizerKind::adamw, .nesterov = true},
        {.kind = OptimizerKind::adamw, .beta1 = 1},
        {.kind = OptimizerKind::adamw, .beta2 = -0.5},
        {.kind = OptimizerKind::adamw, .epsilon = 0},
    };
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        EXPECT_THROW(Optimizer<float>(wrong[i], 3, {}), UsageError) << "case " << i;
    }
}

TEST(Optimizer, RefusesRangesAndSpansThatDoNotFit) {
    const OptimizerOptions options{.decay = WeightDecayScope::weights};
    for (const std::vector<ParameterRange>& wrong : std::vector<std::vector<ParameterRange>>{
             {{0, 8}}, {{-1, 2}}, {{3, 2}}, {{0, 4}, {3, 5}}, {{4, 5}, {0, 1}}}) {
        EXPECT_THROW(Optimizer<float>(options, 7, wrong), UsageError);
    }
    Optimizer<float> optimizer({}, 7, {});
    std::vector<float> seven(7), six(6);
    EXPECT_THROW(optimizer.step(six, seven, 0.1), UsageError);
    EXPECT_THROW(optimizer.step(seven, six, 0.1), UsageError);
}

TEST(Optimizer, NamesSurviveBothWays) {
    for (const auto kind : {OptimizerKind::sgd, OptimizerKind::adamw}) {
        EXPECT_EQ(parse_optimizer_kind(to_string(kind)), kind);
    }
    for (const auto scope : {WeightDecayScope::all, WeightDecayScope::weights}) {
        EXPECT_EQ(parse_weight_decay_scope(to_string(scope)), scope);
    }
    EXPECT_THROW(parse_optimizer_kind("adam"), UsageError);
    EXPECT_THROW(parse_weight_decay_scope(""), UsageError);
}

/// Momentum as torch.optim.SGD has it, written as a rule of one's own.
class OwnMomentum final : public UpdateRule {
  public:
    std::string text() const override { return "own momentum"; }
    std::vector<std::string> state_names() const override { return {"velocity"}; }
    void step(const UpdatePass<float>& pass) const override { any(pass); }
    void step(const UpdatePass<double>& pass) const override { any(pass); }

  private:
    template <class Scalar>
    static void any(const UpdatePass<Scalar>& pass) {
        for (std::size_t i = 0; i < pass.parameters.size(); ++i) {
            Scalar& velocity = pass.state[0][i];
            const Scalar gradient =
                pass.gradients[i] + static_cast<Scalar>(pass.weight_decay) * pass.parameters[i];
            velocity = Scalar(0.5) * velocity + gradient;
            pass.parameters[i] -= static_cast<Scalar>(pass.learning_rate) * velocity;
        }
    }
};

TEST(OwnRule, IsAppliedWithItsStateAndTheWeightDecayOfEachStretch) {
    const OptimizerOptions built_in{.momentum = 0.5, .weight_decay = 0.1, .decay = WeightDecayScope::weights};
    OptimizerOptions own = built_in;
    own.rule = std::make_shared<OwnMomentum>();
    const Index size = std::ssize(test::reference_start);
    Optimizer<double> expected(built_in, size, weights), optimizer(own, size, weights),
        continued(own, size, weights);
    auto values = start_values<double>(), own_values = values;
    run_steps(expected, values, 0, 10);
    run_steps(optimizer, own_values, 0, 6);

    // What a checkpoint keeps is enough to go on.
    ASSERT_EQ(optimizer.state().size(), 1U);
    EXPECT_EQ(optimizer.state()[0].name, "velocity");
    std::ranges::copy(optimizer.state()[0].values, continued.state()[0].values.begin());
    continued.set_step_count(optimizer.step_count());
    run_steps(continued, own_values, 6, 10);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(own_values[i], values[i], 1e-14);
}

}  // namespace
}  // namespace lockstep
