/// Gradients of any stack of layers against central differences, (L(v + h) − L(v − h)) / 2h, in double.
#pragma once

#include <support/layer_harness.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace lockstep::test {

/// Checks every value of `analytic` against the slope of the harness's objective in the same value of
/// `variables`.
inline void expect_slopes(LayerHarness<double>& harness, std::span<double> variables,
                          std::span<const double> analytic, const std::string& what) {
    constexpr double h = 1e-5, tolerance = 1e-6;
    ASSERT_EQ(variables.size(), analytic.size());
    for (std::size_t i = 0; i < variables.size(); ++i) {
        const double value = variables[i];
        variables[i] = value + h;
        harness.forward();
        const double above = harness.objective();
        variables[i] = value - h;
        harness.forward();
        const double below = harness.objective();
        variables[i] = value;
        const double slope = (above - below) / (2 * h);
        ASSERT_NEAR(analytic[i], slope, tolerance * std::max(1.0, std::abs(slope)))
            << what << ", value " << i;
    }
}

/// Builds the model for one rank that hosts one replica for each entry of `batches`, and checks the gradients
/// of all inputs and all parameters; also that training leaves its inputs alone.
inline void expect_exact_gradients(const std::string& model, Shape input, const std::vector<Index>& batches,
                                   std::optional<int> group = {}) {
    SCOPED_TRACE("model '" + model + "' on " + input.to_string() + ", " + std::to_string(batches.size()) +
                 " replicas, the first with " + std::to_string(batches.front()) + " samples");
    LayerHarness<double> harness(model, input, batches, Communicator::self(), group);
    std::vector<AlignedVector<double>> inputs, output_gradients;
    for (std::size_t r = 0; r < batches.size(); ++r) {
        inputs.push_back(harness.x[r].values);
        output_gradients.push_back(harness.dz[r].values);
    }
    harness.forward();
    harness.backward();
    for (std::size_t r = 0; r < batches.size(); ++r) {
        EXPECT_EQ(harness.x[r].values, inputs[r]) << "the pass has changed its input";
        EXPECT_EQ(harness.dz[r].values, output_gradients[r])
            << "backward has changed the gradient it was given";
    }
    const double* const sums = harness.gradients().cover().front();
    for (const ParameterInfo& info : harness.layout().parameters()) {
        const auto size = static_cast<std::size_t>(info.size);
        const std::vector<double> analytic(sums + info.offset, sums + info.end());
        expect_slopes(harness, harness.parameters().subspan(static_cast<std::size_t>(info.offset), size),
                      analytic, info.name);
    }
    for (std::size_t r = 0; r < batches.size(); ++r) {
        const AlignedVector<double> analytic = harness.dx[r].values;
        expect_slopes(harness, harness.x[r].values, analytic, "input of replica " + std::to_string(r));
    }
}

}  // namespace lockstep::test
