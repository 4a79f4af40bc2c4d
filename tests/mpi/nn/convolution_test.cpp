// Convolution, pooling and residual blocks: their values against the formulas written out, their gradients
// against central differences, at odd sizes, strides, pads and numbers of channels.
#include <lockstep/nn/pooling.hpp>
#include <support/gradient_check.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace lockstep::test {
namespace {

struct Window {
    Index height, width, stride, pad;

    std::string text() const {
        return std::to_string(height) + "x" + std::to_string(width) + " stride " + std::to_string(stride) +
               " pad " + std::to_string(pad);
    }
    Index rows(Index extent) const { return (extent + 2 * pad - height) / stride + 1; }
    Index columns(Index extent) const { return (extent + 2 * pad - width) / stride + 1; }
};

const std::vector<Window> windows = {
    {1, 1, 1, 0}, {3, 3, 1, 1}, {3, 3, 2, 1}, {3, 3, 1, 0}, {2, 2, 2, 0}, {5, 3, 2, 2},
    {2, 5, 3, 1}, {1, 1, 2, 0}, {1, 3, 2, 0}, {4, 4, 3, 3}, {2, 2, 3, 1}, {3, 1, 4, 0},
};

/// A convolution in long double, by its definition.
std::vector<long double> convolve(const OwnedTensor<float>& x, std::span<const float> weight,
                                  std::span<const float> bias, const Window& window, Index outputs) {
    const Shape& in = x.shape;
    std::vector<long double> z;
    for (Index sample = 0; sample < x.batch; ++sample)
        for (Index row = 0; row < window.rows(in.height); ++row)
            for (Index column = 0; column < window.columns(in.width); ++column)
                for (Index o = 0; o < outputs; ++o) {
                    long double sum = bias[static_cast<std::size_t>(o)];
                    for (Index i = 0; i < window.height; ++i)
                        for (Index j = 0; j < window.width; ++j) {
                            const Index y = row * window.stride + i - window.pad;
                            const Index at = column * window.stride + j - window.pad;
                            if (y < 0 || y >= in.height || at < 0 || at >= in.width) continue;
                            for (Index c = 0; c < in.channels; ++c)
                                sum += static_cast<long double>(x.values[static_cast<std::size_t>(
                                           ((sample * in.height + y) * in.width + at) * in.channels + c)]) *
                                       static_cast<long double>(weight[static_cast<std::size_t>(
                                           ((i * window.width + j) * in.channels + c) * outputs + o)]);
                        }
                    z.push_back(sum);
                }
    return z;
}

TEST(Conv2d, EqualsItsDefinition) {
    for (const Window& window : windows)
        for (const Index outputs : {1, 3, 16, 17, 32, 40, 70})
            for (const Shape& shape : {Shape{7, 9, 1}, Shape{5, 30, 3}, Shape{8, 8, 16}}) {
                SCOPED_TRACE(std::to_string(outputs) + " " + window.text() + " on " + shape.to_string());
                LayerHarness<float> harness("conv " + std::to_string(outputs) + " " + window.text(), shape,
                                            {2}, Communicator::self());
                harness.forward();
                const auto info = harness.layout().parameters();
                const auto expected = convolve(
                    harness.x[0], harness.parameters().subspan(static_cast<std::size_t>(info[0].offset)),
                    harness.parameters().subspan(static_cast<std::size_t>(info[1].offset)), window, outputs);
                ASSERT_EQ(harness.z[0].values.size(), expected.size());
                for (std::size_t i = 0; i < expected.size(); ++i)
                    ASSERT_NEAR(harness.z[0].values[i], static_cast<double>(expected[i]), 2e-5)
                        << "value " << i;
                EXPECT_EQ(harness.infer(harness.x[0].const_tensor()).values, harness.z[0].values);
            }
}

TEST(Conv2d, HasExactGradients) {
    for (const Window& window : windows)
        for (const auto& [shape, outputs] : {std::pair{Shape{5, 7, 2}, 3}, std::pair{Shape{4, 6, 3}, 1}})
            expect_exact_gradients("conv " + std::to_string(outputs) + " " + window.text(), shape, {2, 1});
    // More channels than fit one vector register, and numbers that do not fill the last.
    expect_exact_gradients("conv 19 3x3 pad 1", Shape{4, 5, 18}, {1});
    expect_exact_gradients("conv 33 1x1", Shape{3, 3, 17}, {1, 0, 1});
    expect_exact_gradients("conv 2 3x3 stride 2 pad 1", Shape{9, 27, 1}, {1});
}

TEST(Conv2d, HasABiasUnlessABatchNormFollowsDirectly) {
    const LayerHarness<float> harness("conv 4 3x3, batchnorm, conv 4 3x3, relu, batchnorm, conv 4 1x1",
                                      {9, 9, 2}, {2}, Communicator::self());
    std::vector<std::string> names;
    for (const ParameterInfo& info : harness.layout().parameters()) names.push_back(info.name);
    EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "1.weight", "1.bias", "2.weight", "2.bias",
                                               "4.weight", "4.bias", "5.weight", "5.bias"}));
}

TEST(Conv2d, TakesItsWeightsFromFilesAsTorchHasThem) {
    LayerHarness<double> harness("conv 4 2x3", {5, 6, 3}, {1}, Communicator::self());
    const ParameterInfo& info = harness.layout().parameters()[0];
    EXPECT_EQ(info.shape, (std::vector<Index>{4, 3, 2, 3}));
    std::vector<double> file(static_cast<std::size_t>(info.size)), memory(file.size()), again(file.size());
    for (std::size_t i = 0; i < file.size(); ++i) file[i] = static_cast<double>(i);
    to_memory_order<double>(info, file, memory);
    // [out][in][height][width] → [height][width][in][out]
    const auto in_file = [](Index o, Index c, Index i, Index j) { return ((o * 3 + c) * 2 + i) * 3 + j; };
    const auto in_memory = [](Index o, Index c, Index i, Index j) { return ((i * 3 + j) * 3 + c) * 4 + o; };
    for (Index o = 0; o < 4; ++o)
        for (Index c = 0; c < 3; ++c)
            for (Index i = 0; i < 2; ++i)
                for (Index j = 0; j < 3; ++j)
                    EXPECT_EQ(memory[static_cast<std::size_t>(in_memory(o, c, i, j))],
                              static_cast<double>(in_file(o, c, i, j)));
    to_file_order<double>(info, memory, again);
    EXPECT_EQ(again, file);
    const ParameterInfo& bias = harness.layout().parameters()[1];
    std::vector<double> same(4);
    to_file_order<double>(bias, std::span<const double>(file).first(4), same);
    EXPECT_EQ(same, std::vector<double>(file.begin(), file.begin() + 4));
}

const std::vector<Window> pools = {{2, 2, 2, 0}, {3, 3, 2, 1}, {3, 3, 1, 1},
                                   {2, 3, 2, 1}, {3, 2, 3, 0}, {1, 1, 2, 0}};

template <class Combine>
void expect_pooled(const std::string& kind, Combine combine) {
    for (const Window& window : pools)
        for (const Shape& shape : {Shape{7, 5, 3}, Shape{6, 8, 1}}) {
            SCOPED_TRACE(kind + " " + window.text() + " on " + shape.to_string());
            LayerHarness<double> harness(kind + " " + window.text(), shape, {2, 3}, Communicator::self());
            harness.forward();
            const auto& x = harness.x[1];
            std::size_t next = 0;
            for (Index sample = 0; sample < x.batch; ++sample)
                for (Index row = 0; row < window.rows(shape.height); ++row)
                    for (Index column = 0; column < window.columns(shape.width); ++column)
                        for (Index c = 0; c < shape.channels; ++c) {
                            std::vector<double> values;
                            for (Index i = row * window.stride - window.pad, end = i + window.height; i < end;
                                 ++i)
                                for (Index j = column * window.stride - window.pad, stop = j + window.width;
                                     j < stop; ++j)
                                    if (i >= 0 && i < shape.height && j >= 0 && j < shape.width)
                                        values.push_back(x.values[static_cast<std::size_t>(
                                            ((sample * shape.height + i) * shape.width + j) * shape.channels +
                                            c)]);
                            ASSERT_NEAR(harness.z[1].values.at(next++), combine(values, window), 1e-12);
                        }
            EXPECT_EQ(harness.infer(harness.x[1].const_tensor()).values, harness.z[1].values);
        }
}

TEST(Pooling, GivesTheLargestValue) {
    expect_pooled("maxpool",
                  [](const std::vector<double>& values, const Window&) { return std::ranges::max(values); });
}

TEST(Pooling, GivesTheMeanWithZerosOutside) {
    expect_pooled("avgpool", [](const std::vector<double>& values, const Window& window) {
        return std::accumulate(values.begin(), values.end(), 0.0) /
               static_cast<double>(window.height * window.width);
    });
}

TEST(Pooling, HasExactGradients) {
    for (const Window& window : pools)
        for (const std::string kind : {"maxpool ", "avgpool "})
            expect_exact_gradients(kind + window.text(), {7, 5, 2}, {2, 1});
    expect_exact_gradients("global-average-pool", {3, 5, 4}, {2, 3});
    expect_exact_gradients("maxpool 2", {6, 4, 2}, {1});
}

TEST(Pooling, PassesTheGradientToTheFirstOfEquals) {
    LayerHarness<double> harness("maxpool 2", {2, 2, 1}, {1}, Communicator::self());
    harness.x[0].values = {1, 3, 3, 3};
    harness.forward();
    harness.backward();
    EXPECT_EQ(harness.dx[0].values, (AlignedVector<double>{0, harness.dz[0].values[0], 0, 0}));
}

TEST(Residual, HasExactGradientsWithEveryShortcut) {
    const Shape shape{5, 7, 3};
    for (const std::string body :
         {"conv 3 3x3 pad 1", "batchnorm, relu", "relu, relu", "conv 3 3x3 pad 1, relu", "relu, dropout 0.3",
          "conv 4 3x3 stride 2 pad 1, batchnorm", "conv 4 1x1, relu", "maxpool 3x3 stride 2 pad 1",
          "batchnorm, conv 2 3x3 stride 3 pad 1, relu"})
        for (const std::string before : {"", "relu, ", "batchnorm, ", "dropout 0.3, "})
            for (const std::string after : {"", ", relu", ", dropout 0.2, relu", ", batchnorm"})
                expect_exact_gradients(before + "residual { " + body + " }" + after, shape, {2, 1});
}

TEST(Residual, NestsAndStartsAtTheIdentityWithZeroGamma) {
    const std::string block =
        "residual zero-gamma { conv 3 3x3 pad 1, batchnorm, relu, conv 3 3x3 pad 1, batchnorm }";
    expect_exact_gradients("residual { " + block + ", relu }, relu", {4, 3, 3}, {2, 2});
    LayerHarness<double> harness(block, {4, 3, 3}, {3}, Communicator::self());
    harness.layers().initialize(1);
    harness.forward();
    EXPECT_EQ(harness.z[0].values, harness.x[0].values);
}

TEST(Residual, NamesItsParametersBodyAndShortcut) {
    const LayerHarness<float> harness("conv 4 3x3, residual { conv 8 3x3 stride 2 pad 1, batchnorm }",
                                      {9, 9, 2}, {2}, Communicator::self());
    std::vector<std::string> names;
    for (const ParameterInfo& info : harness.layout().parameters()) names.push_back(info.name);
    EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "1.body.0.weight", "1.body.1.weight",
                                               "1.body.1.bias", "1.shortcut.0.weight", "1.shortcut.1.weight",
                                               "1.shortcut.1.bias"}));
    EXPECT_EQ(harness.layout().parameters()[5].shape, (std::vector<Index>{8, 4, 1, 1}));
}

TEST(Network, OfConvolutionsHasExactGradients) {
    expect_exact_gradients(
        "conv 3 3x3 pad 1, batchnorm, relu, maxpool 2, conv 4 3x3 pad 1, batchnorm, relu, "
        "global-average-pool, flatten, linear 3",
        {6, 6, 1}, {3, 2});
    expect_exact_gradients("conv 3 3x3 pad 1, relu, avgpool 2, dropout 0.2, flatten, linear 3", {6, 5, 2},
                           {2, 2});
}

}  // namespace
}  // namespace lockstep::test
