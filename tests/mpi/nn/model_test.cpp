// Models built in C++ are those of the texts, and networks of layers get the same bits however they were built.
#include <lockstep/base/error.hpp>
#include <lockstep/nn/activation.hpp>
#include <lockstep/nn/network.hpp>
#include <support/layer_harness.hpp>
#include <support/own_layers.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace lockstep::test {
namespace {

template <class Scalar = float>
Network<Scalar> network_of(const Model& model) {
    return Network<Scalar>(model, {Communicator::self(), {}});
}

TEST(Model, InCppIsTheModelOfItsText) {
    register_own_layers();
    const Model dense = Model::dense(12)
                            .batch_norm()
                            .linear(64)
                            .batch_norm({.epsilon = 1e-3, .momentum = 0.01, .affine = false})
                            .gelu()
                            .dropout(0.1)
                            .add<Scale>(0.5)
                            .text("batchnorm momentum cumulative, linear  3");
    EXPECT_EQ(dense.to_string(),
              "batchnorm, linear 64, batchnorm epsilon 0.001 momentum 0.01 affine false, gelu, dropout 0.1, "
              "scale 0.5, batchnorm momentum cumulative, linear 3");
    const Model block = Model().conv(8, 3, {.stride = 2, .pad = 1}).batch_norm();
    const Model images = Model::images(28, 28, 1)
                             .conv(4, {3, 5}, {.pad = 1})
                             .max_pool(2)
                             .residual(block)
                             .residual_from_identity(Model().batch_norm({.cumulative = true}))
                             .average_pool({3, 2}, {.stride = 1})
                             .global_average_pool()
                             .flatten()
                             .linear(10);
    EXPECT_EQ(images.to_string(),
              "conv 4 3x5 pad 1, maxpool 2x2, residual { conv 8 3x3 stride 2 pad 1, batchnorm }, "
              "residual zero-gamma { batchnorm momentum cumulative }, avgpool 3x2 stride 1, "
              "global-average-pool, flatten, linear 10");
    const Model activations = Model()
                                  .relu()
                                  .leaky_relu()
                                  .leaky_relu(0.2)
                                  .elu()
                                  .elu(2)
                                  .gelu()
                                  .gelu_tanh()
                                  .silu()
                                  .tanh()
                                  .sigmoid()
                                  .softplus()
                                  .identity();
    EXPECT_EQ(activations.to_string(),
              "relu, leaky-relu, leaky-relu 0.2, elu, elu 2, gelu, gelu tanh, silu, tanh, sigmoid, softplus, "
              "identity");
    for (const Model& model : {dense, images})
        EXPECT_EQ(Model(model.to_string()).to_string(), model.to_string());
    EXPECT_EQ(network_of(dense).output_shape(), Shape::dense(3));
    EXPECT_EQ(network_of<double>(images).output_shape(), Shape::dense(10));
}

TEST(Model, IsAValue) {
    const Model trunk = Model::dense(5).linear(4);
    const Model one = trunk.relu(), other = trunk.tanh();
    EXPECT_EQ(trunk.to_string(), "linear 4");
    EXPECT_EQ(one.to_string(), "linear 4, relu");
    EXPECT_EQ(other.to_string(), "linear 4, tanh");
}

TEST(Model, ComesFromATextOfAnyKind) {
    const Model models[] = {"linear 3", std::string("linear 3"), std::string_view("linear 3"),
                            parse_model("linear 3")};
    for (const Model& model : models) EXPECT_EQ(model.to_string(), "linear 3");
    EXPECT_THROW(Model("linear 3,"), UsageError);
    register_own_layers();
    EXPECT_EQ(Model("scale  0.50").to_string(), "scale 0.5");
}

TEST(Model, GivesTheBitsOfItsText) {
    auto built = network_of(Model::dense(7).linear(5).batch_norm().relu().linear(3));
    Network<float> read("linear 5, batchnorm, relu, linear 3", Shape::dense(7), {Communicator::self(), {}});
    built.initialize(3);
    read.initialize(3);
    for (const ParameterInfo& info : read.layout().parameters())
        for (Index i = info.offset; i < info.end(); ++i)
            ASSERT_EQ(built.parameters()[i], read.parameters()[i]) << info.name;
}

TEST(Model, SaysWhatSamplesItIsFor) {
    const BatchNormSetup setup{Communicator::self(), {}};
    const Model dense = Model::dense(12).linear(3);
    EXPECT_EQ(Network<float>(dense, Shape{3, 2, 2}, setup).input_shape(), Shape::dense(12));
    EXPECT_THROW(Network<float>(dense, Shape::dense(13), setup), UsageError);
    const Model images = Model::images(3, 2, 2).flatten().linear(3);
    EXPECT_EQ(Network<float>(images, Shape::dense(12), setup).input_shape(), (Shape{3, 2, 2}));
    EXPECT_THROW(Network<float>(images, Shape{2, 3, 2}, setup), UsageError);
    EXPECT_THROW(Network<float>(Model("linear 3"), setup), UsageError);
    EXPECT_THROW(Model::dense(0), UsageError);
    EXPECT_THROW(Model().batch_norm({.momentum = 0.1, .cumulative = true}), UsageError);
}

template <class Scalar>
class NobodysLayer {};

TEST(Model, AddsRegisteredLayersOnly) {
    EXPECT_THROW(Model().add<NobodysLayer>(1), UsageError);
}

/// A batch norm does the work of a relu between it and another layer, also where nobody read a text.
TEST(Sequence, FusesBatchNormAndRelu) {
    const Shape shape = Shape::dense(4);
    const auto sequence = [&](int relus) {
        std::vector<std::unique_ptr<Layer<float>>> layers;
        layers.push_back(std::make_unique<BatchNorm<float>>(shape, Communicator::self(), BatchNormOptions{},
                                                            ReplicaPlacement{}));
        for (int i = 0; i < relus; ++i)
            layers.push_back(std::make_unique<ActivationLayer<float>>(shape, ActivationKind::relu));
        Sequence<float> made(std::move(layers));
        ParameterLayout layout;
        made.place(layout, "");
        std::vector<BatchNorm<float>*> norms;
        made.collect_batch_norms(norms);
        return norms[0]->norm().options().activation;
    };
    EXPECT_EQ(sequence(1), Activation::none) << "the relu is last";
    EXPECT_EQ(sequence(2), Activation::relu);
}

}  // namespace
}  // namespace lockstep::test
