// Gradients of every layer, and of networks of many orders of layers, against central differences. The
// network shares buffers between layers that run in place; where it did so wrongly, the slopes would not fit.
#include <support/gradient_check.hpp>

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep::test {
namespace {

const Shape image{3, 5, 2};

TEST(Gradient, LinearForEveryBatchAndNumberOfReplicas) {
    for (const Index width : {1, 3, 17})
        for (const auto& batches :
             std::vector<std::vector<Index>>{{1}, {5}, {2, 3}, {3, 0, 1}, {1, 2, 1, 2, 1}})
            expect_exact_gradients("linear " + std::to_string(width), Shape::dense(7), batches);
}

TEST(Gradient, Relu) {
    expect_exact_gradients("relu", Shape::dense(9), {4, 3});
    expect_exact_gradients("relu", image, {2});
}

TEST(Gradient, Dropout) {
    expect_exact_gradients("dropout 0.3", Shape::dense(11), {5, 4, 1});
    expect_exact_gradients("dropout 0.5", image, {3});
}

TEST(Gradient, Flatten) {
    expect_exact_gradients("flatten", image, {3, 2});
    expect_exact_gradients("flatten", Shape{3, 5, 1}, {2});
    expect_exact_gradients("flatten, linear 3", image, {2});
    expect_exact_gradients("relu, flatten", image, {2, 1});
}

TEST(Gradient, BatchNormOfOneReplicaOrMany) {
    expect_exact_gradients("batchnorm", Shape::dense(3), {5});
    expect_exact_gradients("batchnorm", Shape::dense(1), {3, 1, 2});
    expect_exact_gradients("batchnorm", image, {2, 1});
    expect_exact_gradients("batchnorm", Shape::dense(4), {3, 0, 4});
}

TEST(Gradient, BatchNormWithSettingsOfItsOwn) {
    expect_exact_gradients("batchnorm affine false", Shape::dense(3), {5, 2});
    expect_exact_gradients("linear 4, batchnorm affine false, relu, linear 2", Shape::dense(3), {3, 4});
    expect_exact_gradients("batchnorm epsilon 0.5, batchnorm epsilon 0.01 affine false", image, {2, 1});
}

TEST(Gradient, BatchNormOfGroups) {
    expect_exact_gradients("batchnorm", Shape::dense(3), {3, 4, 2, 3}, 1);
    expect_exact_gradients("batchnorm", Shape::dense(3), {3, 1, 2, 4}, 2);
    expect_exact_gradients("batchnorm", image, {1, 2, 1, 1, 1, 2}, 3);
}

TEST(Gradient, LayersThatRunInPlaceInEveryOrder) {
    const std::vector<std::string> parts = {"relu", "dropout 0.4", "batchnorm", "linear 4"};
    for (const auto& first : parts)
        for (const auto& second : parts)
            for (const auto& third : parts) {
                expect_exact_gradients(first + ", " + second + ", " + third, Shape::dense(5), {3, 2});
                expect_exact_gradients("linear 5, " + first + ", " + second + ", " + third + ", linear 2",
                                       Shape::dense(4), {3, 2});
            }
}

TEST(Gradient, FlattenBetweenLayersThatRunInPlace) {
    for (const std::string before : {"relu", "dropout 0.4", "batchnorm"})
        for (const std::string after : {"relu", "dropout 0.4", "batchnorm", "linear 3"})
            for (const Shape& shape : {image, Shape{3, 2, 1}, Shape{1, 1, 5}})
                expect_exact_gradients(before + ", flatten, " + after, shape, {3, 2});
}

TEST(Gradient, TheNetworkOfTheMnistExamples) {
    expect_exact_gradients(
        "batchnorm, linear 7, relu, batchnorm, dropout 0.2, linear 5, relu, batchnorm, linear 3",
        Shape::dense(6), {4, 3, 5});
}

/// Whatever is said to be complete is so from then on, and in the end all is.
void expect_ready_offsets_to_fall_to_zero(const std::string& model, const Shape& shape) {
    LayerHarness<double> harness(model, shape, {4, 3, 0, 2}, Communicator::self());
    const auto size = static_cast<std::size_t>(harness.layout().parameter_values());
    harness.forward();
    harness.backward();
    const std::vector<double> complete(harness.gradients().cover().front(),
                                       harness.gradients().cover().front() + size);
    std::fill_n(harness.gradients().cover().front(), size, -77.0);
    Index last = harness.layout().parameter_values();
    harness.backward([&](Index offset) {
        EXPECT_LE(offset, last);
        last = offset;
        for (const ParameterInfo& info : harness.layout().parameters())
            for (Index i = std::max(info.offset, offset); i < info.end(); ++i)
                ASSERT_EQ(harness.gradients().cover().front()[i], complete[static_cast<std::size_t>(i)])
                    << info.name << " was said to be complete at offset " << offset;
    });
    EXPECT_EQ(last, 0);
}

TEST(Gradient, ReadyOffsetsFallToZeroAndCoverEveryParameter) {
    expect_ready_offsets_to_fall_to_zero("batchnorm, linear 7, relu, batchnorm, linear 3", Shape::dense(6));
    expect_ready_offsets_to_fall_to_zero("linear 7, batchnorm affine false, gelu, linear 3", Shape::dense(6));
    expect_ready_offsets_to_fall_to_zero(
        "conv 3 3x3 pad 1, residual { conv 4 3x3 stride 2 pad 1, batchnorm, relu, conv 4 3x3 pad 1 }, relu, "
        "residual { batchnorm, conv 4 1x1 }, flatten, linear 3",
        Shape{4, 4, 2});
}

}  // namespace
}  // namespace lockstep::test
