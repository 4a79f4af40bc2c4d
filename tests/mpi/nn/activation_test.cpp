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

/// As in make_activation_reference.py.
void draw(std::span<double> values, Index stream) {
    for (Index i = 0; i < std::ssize(values); ++i)
        values[static_cast<std::size_t>(i)] =
            static_cast<double>(((i * 31 + stream * 17 + 5) * 7919 + i * i % 127 * 11) % 1009) / 504.5 - 1;
}

/// 50 steps of gradient descent by hand, through a batch norm with settings of its own.
TEST(Activations, TrainAsInTorch) {
    constexpr Index samples = 8, inputs = 5, outputs = 3;
    for (const auto& reference : activation_references) {
        LayerHarness<double> harness(
            "linear 6, " + std::string(reference.model) + ", batchnorm epsilon 0.01 affine false, linear 3",
            Shape::dense(inputs), {samples}, Communicator::self());
        Index stream = 0;
        for (const ParameterInfo& info : harness.layout().parameters())
            draw(harness.parameters().subspan(static_cast<std::size_t>(info.offset),
                                              static_cast<std::size_t>(info.size)),
                 ++stream);
        std::vector<double> y(samples * outputs);
        draw(harness.x[0].values, 100);
        draw(y, 101);
        for (std::size_t step = 0; step < reference.losses.size(); ++step) {
            harness.forward();
            double loss = 0;
            for (std::size_t i = 0; i < y.size(); ++i) {
                const double difference = harness.z[0].values[i] - y[i];
                loss += difference * difference / (2 * samples);
                harness.dz[0].values[i] = difference / samples;
            }
            ASSERT_NEAR(loss, reference.losses[step], 1e-11) << reference.model << ", step " << step;
            harness.backward();
            for (const ParameterInfo& info : harness.layout().parameters())
                for (Index i = info.offset; i < info.end(); ++i)
                    harness.parameters()[static_cast<std::size_t>(i)] -=
                        0.1 * harness.gradients().cover().front()[i];
        }
    }
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
