// A folded network infers what the network does, without the batch norms that can be folded.
#include <support/layer_harness.hpp>
#include <support/own_layers.hpp>

#include <lockstep/nn/fold.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace lockstep::test {
namespace {

/// As training might leave it: weights of some size, averages and γ that differ from channel to channel.
template <class Scalar>
std::unique_ptr<Network<Scalar>> trained(const Model& model, Shape input) {
    auto network = std::make_unique<Network<Scalar>>(
        model, input, BatchNormSetup{.communicator = Communicator::self(), .placement = {}});
    network->initialize(3);
    const auto part = [](const ParameterInfo& info, std::span<Scalar> all) {
        return all.subspan(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.size));
    };
    for (const ParameterInfo& info : network->layout().parameters())
        if (info.kind != ParameterKind::weight)
            fill_normal(part(info, network->parameters()), static_cast<std::uint64_t>(info.offset),
                        info.kind == ParameterKind::scale ? 1 : 0, 0.3);
    for (const ParameterInfo& info : network->layout().averages()) {
        const auto values = part(info, network->averages());
        fill_normal(values, static_cast<std::uint64_t>(1000 + info.offset), 0, 0.5);
        if (info.name.ends_with("var"))
            std::ranges::transform(values, values.begin(), [](Scalar v) { return 1 + v * v; });
    }
    return network;
}

template <class Scalar>
OwnedTensor<Scalar> some_input(const Network<Scalar>& network) {
    OwnedTensor<Scalar> input(network.input_shape(), 11);
    fill_normal(std::span(input.values), 5, 0.3);
    return input;
}

/// By network or folded network.
template <class Scalar, class Inferrer>
std::vector<Scalar> outputs_of(const Inferrer& network, const OwnedTensor<Scalar>& input) {
    OwnedTensor<Scalar> output(network.layers().output_shape(), input.batch);
    network.infer(input.const_tensor(), output.tensor());
    return {output.values.begin(), output.values.end()};
}

template <class Scalar>
void expect_same_outputs(const Network<Scalar>& network, const FoldedNetwork<Scalar>& folded,
                         double tolerance) {
    const auto input = some_input(network);
    const auto expected = outputs_of(network, input), outputs = outputs_of(folded, input);
    double scale = 0;
    for (const Scalar value : expected) scale = std::max(scale, std::abs(static_cast<double>(value)));
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(outputs[i], expected[i], tolerance * scale);
}

template <class Scalar>
void expect_left(std::size_t batch_norms, const Model& model, Shape input) {
    SCOPED_TRACE(model.to_string());
    const auto network = trained<Scalar>(model, input);
    const FoldedNetwork<Scalar> folded(*network);
    EXPECT_EQ(folded.batch_norms(), batch_norms);
    expect_same_outputs(*network, folded, std::is_same_v<Scalar, float> ? 1e-6 : 1e-13);
}

void expect_left_in_both_types(std::size_t batch_norms, const Model& model, Shape input) {
    expect_left<float>(batch_norms, model, input);
    expect_left<double>(batch_norms, model, input);
}

const Shape dense = Shape::dense(30), image{9, 8, 3};

TEST(Fold, TakesBatchNormsBehindAndBeforeALinearLayer) {
    expect_left_in_both_types(
        0, "linear 40, batchnorm, relu, linear 20, batchnorm, tanh, linear 10, batchnorm", dense);
    expect_left_in_both_types(0, "batchnorm, linear 40, relu, batchnorm, linear 10", dense);
    expect_left_in_both_types(0, "batchnorm, linear 40, batchnorm, batchnorm, linear 10", dense);
    expect_left_in_both_types(
        0, "linear 20, batchnorm affine false epsilon 0.1, gelu, batchnorm affine false, linear 5", dense);
}

TEST(Fold, TakesBatchNormsBehindAConvolutionAndBeforeOneWithoutAPad) {
    expect_left_in_both_types(
        0,
        "conv 6 3x2 pad 1, batchnorm, relu, maxpool 2, conv 8 3x3 stride 2, batchnorm, relu, "
        "global-average-pool, linear 10",
        image);
    expect_left_in_both_types(0, "batchnorm, conv 4 3x2, relu, flatten, linear 10", image);
    expect_left_in_both_types(1, "batchnorm, conv 4 3x3 pad 1, relu, flatten, linear 10", image);
}

TEST(Fold, TakesBatchNormsInResidualBlocks) {
    expect_left_in_both_types(
        0,
        "conv 4 3x3 pad 1, batchnorm, relu, residual { conv 8 3x3 stride 2 pad 1, batchnorm, relu, "
        "conv 8 3x3 pad 1, batchnorm }, relu, residual zero-gamma { conv 8 3x3 pad 1, batchnorm }, "
        "relu, global-average-pool, linear 10",
        image);
}

TEST(Fold, LeavesBatchNormsBesideOtherLayers) {
    expect_left_in_both_types(1, "linear 8, relu, batchnorm, tanh, linear 3", dense);
    expect_left_in_both_types(1, "batchnorm, flatten, linear 3", image);
    expect_left_in_both_types(2, "batchnorm, maxpool 2, batchnorm, relu, flatten, linear 3", image);
}

TEST(Fold, LeavesLayersOfOnesOwnAsTheyAre) {
    register_own_layers();
    expect_left_in_both_types(0, "linear 8, batchnorm, shift 0.5, scale 2, batchnorm, linear 3", dense);
    expect_left_in_both_types(1, "linear 8, shift 0.5, batchnorm, scale 2, linear 3", dense);
}

/// "batchnorm, linear 3", and the mean of one channel is `mean`.
template <class Scalar>
std::unique_ptr<Network<Scalar>> with_mean(Scalar mean) {
    auto network = trained<Scalar>("batchnorm, linear 3", dense);
    SyncBatchNorm<Scalar>& norm = network->batch_norms()[0]->norm();
    norm.running_mean()[7] = mean;
    norm.running_var()[7] = 1;
    return network;
}

TEST(Fold, LeavesABatchNormWhoseMeanWouldCostDigits) {
    EXPECT_EQ(FoldedNetwork<float>(*with_mean<float>(4)).batch_norms(), 0U);
    const auto single = with_mean<float>(5);
    const FoldedNetwork<float> folded(*single);
    EXPECT_EQ(folded.batch_norms(), 1U);
    EXPECT_EQ(outputs_of(folded, some_input(*single)), outputs_of(*single, some_input(*single)));
    const auto large = with_mean<double>(1e6);
    const FoldedNetwork<double> large_folded(*large);
    EXPECT_EQ(large_folded.batch_norms(), 0U);
    expect_same_outputs(*large, large_folded, 1e-6);
    EXPECT_EQ(FoldedNetwork<double>(*with_mean<double>(1e10)).batch_norms(), 1U);
    EXPECT_EQ(FoldedNetwork<float>(*with_mean<float>(std::nanf(""))).batch_norms(), 1U);
}

TEST(Fold, LeavesABatchNormThatWouldMakeAWeightInfinite) {
    const auto network = trained<float>("linear 4, batchnorm", dense);
    network->batch_norms()[0]->norm().gamma()[2] = 1e38F;
    std::ranges::fill(network->parameters().first(30), 1e3F);
    std::ranges::fill(network->batch_norms()[0]->norm().running_mean(), 0.F);
    EXPECT_EQ(FoldedNetwork<float>(*network).batch_norms(), 0U);  // the large γ is of another output
    network->batch_norms()[0]->norm().gamma()[0] = 1e38F;
    const FoldedNetwork<float> folded(*network);
    EXPECT_EQ(folded.batch_norms(), 1U);
    EXPECT_EQ(outputs_of(folded, some_input(*network)), outputs_of(*network, some_input(*network)));
}

TEST(Fold, IsACopy) {
    const auto network = trained<float>("conv 4 3x3, batchnorm, relu, flatten, linear 3, batchnorm", image);
    const auto input = some_input(*network);
    const auto before = outputs_of(*network, input);
    const FoldedNetwork<float> folded(*network);
    EXPECT_EQ(outputs_of(*network, input), before);
    const auto outputs = outputs_of(folded, input);
    std::ranges::fill(network->parameters(), 0.5F);
    std::ranges::fill(network->averages(), 0.5F);
    EXPECT_EQ(outputs_of(folded, input), outputs);
}

}  // namespace
}  // namespace lockstep::test
