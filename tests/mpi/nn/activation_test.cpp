// Activations: PyTorch's values and gradients, exact slopes, the same bits on every instruction set, and in a network
// among layers that share buffers.
#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/nn/activation.hpp>
#include <support/gradient_check.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "activation_reference.hpp"

namespace lockstep::test {
namespace {

/// A model of one layer that has seen the inputs of the reference.
template <class Scalar>
LayerHarness<Scalar> run(const std::string& model) {
    const auto count = static_cast<Index>(activation_inputs.size());
    LayerHarness<Scalar> harness(model, Shape::dense(count), {1}, Communicator::self());
    for (std::size_t i = 0; i < activation_inputs.size(); ++i) {
        harness.x[0].values[i] = static_cast<Scalar>(activation_inputs[i]);
        harness.dz[0].values[i] = static_cast<Scalar>(1 + static_cast<double>(i) / 64);
    }
    harness.forward();
    harness.backward();
    return harness;
}

template <class Scalar>
void expect_like_torch(double tolerance) {
    for (const auto& reference : activation_references) {
        const auto harness = run<Scalar>(reference.model);
        for (std::size_t i = 0; i < activation_inputs.size(); ++i) {
            EXPECT_NEAR(harness.z[0].values[i], reference.z[i],
                        tolerance * std::max(1.0, std::abs(reference.z[i])))
                << reference.model << " of " << activation_inputs[i];
            EXPECT_NEAR(harness.dx[0].values[i], reference.dx[i], tolerance)
                << "gradient of " << reference.model << " at " << activation_inputs[i];
        }
        EXPECT_EQ(harness.infer(harness.x[0].const_tensor()).values, harness.z[0].values);
    }
}

TEST(Activations, AreThoseOfTorch) {
    expect_like_torch<double>(1e-14);
    expect_like_torch<float>(5e-7);
}

/// The same number on every instruction set, and on every machine.
TEST(Activations, HaveTheSameBitsEverywhere) {
    Hash64 hash;
    for (const auto& reference : activation_references) {
        const auto narrow = run<float>(reference.model);
        const auto wide = run<double>(reference.model);
        for (const auto* values : {&narrow.z[0].values, &narrow.dx[0].values})
            hash.add(std::as_bytes(std::span(*values)));
        for (const auto* values : {&wide.z[0].values, &wide.dx[0].values})
            hash.add(std::as_bytes(std::span(*values)));
    }
    EXPECT_EQ(to_hex16(hash.value()), "a58d6e3493128178");
}

const std::vector<std::string> models = {"relu",    "leaky-relu", "leaky-relu 0.3", "elu",
                                         "elu 0.6", "gelu",       "gelu tanh",      "silu",
                                         "tanh",    "sigmoid",    "softplus",       "identity"};

TEST(Activations, HaveExactGradients) {
    for (const std::string& model : models) {
        expect_exact_gradients(model, Shape::dense(9), {4, 3});
        expect_exact_gradients(model, Shape{3, 5, 2}, {2});
    }
}

// Some run in place and some keep their input: where buffers were shared wrongly, the slopes would not fit.
TEST(Activations, HaveExactGradientsAmongOtherLayers) {
    for (const std::string& model : models) {
        for (const std::string other : {"relu", "gelu", "tanh", "identity", "dropout 0.3", "batchnorm"}) {
            expect_exact_gradients(model + ", " + other, Shape::dense(5), {3, 2});
            expect_exact_gradients("linear 5, " + other + ", " + model + ", linear 2", Shape::dense(4),
                                   {3, 2});
            expect_exact_gradients("linear 5, " + model + ", " + other + ", " + model, Shape::dense(4), {2});
        }
        expect_exact_gradients("residual { linear 5, " + model + " }, " + model, Shape::dense(5), {3});
    }
}

TEST(Activations, LetNotANumberShow) {
    for (const std::string& model : models) {
        LayerHarness<float> harness(model, Shape::dense(3), {1}, Communicator::self());
        harness.x[0].values[1] = std::numeric_limits<float>::quiet_NaN();
        harness.forward();
        EXPECT_TRUE(std::isnan(harness.z[0].values[1])) << model;
        EXPECT_FALSE(std::isnan(harness.z[0].values[2])) << model;
    }
}

TEST(Activations, RefuseArgumentsThatMakeNoSense) {
    const Shape shape = Shape::dense(3);
    EXPECT_THROW(ActivationLayer<float>(shape, ActivationKind::leaky_relu, -0.1), UsageError);
    EXPECT_THROW(ActivationLayer<float>(shape, ActivationKind::elu, std::nan("")), UsageError);
    EXPECT_THROW(ActivationLayer<float>(shape, ActivationKind::tanh, 1.0), UsageError);
}

}  // namespace
}  // namespace lockstep::test
