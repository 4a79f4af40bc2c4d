// infer: what it gives for a sample does not depend on the samples beside it, and it changes nothing.
#include <support/layer_harness.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace lockstep::test {
namespace {

template <class Scalar>
Tensor<const Scalar> part(const OwnedTensor<Scalar>& tensor, Index first, Index batch) {
    return {tensor.values.data() + first * tensor.shape.size(), tensor.shape, batch};
}

template <class Scalar>
void expect_alone_as_in_any_batch(const std::string& model, Shape input) {
    SCOPED_TRACE(model);
    const Index samples = 37;
    const LayerHarness<Scalar> harness(model, input, {samples}, Communicator::self());
    const auto together = harness.infer(harness.x[0].const_tensor());
    const Index outputs = together.shape.size();
    double scale = 1;  // a logit near zero is a difference of larger numbers
    for (const Scalar value : together.values) scale = std::max(scale, std::abs(static_cast<double>(value)));
    for (const Index batch : {1, 2, 5, 16, 36})
        for (Index first = 0; first < samples; first += batch) {
            const Index count = std::min(batch, samples - first);
            const auto some = harness.infer(part(harness.x[0], first, count));
            for (Index i = 0; i < count * outputs; ++i) {
                const auto expected = together.values[static_cast<std::size_t>(first * outputs + i)];
                ASSERT_NEAR(some.values[static_cast<std::size_t>(i)], expected, 1e-6 * scale);
            }
        }
}

const char* const dense_model =
    "batchnorm, linear 40, relu, batchnorm, dropout 0.3, linear 20, relu, batchnorm, linear 10";
const char* const image_model =
    "conv 6 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 8 3x3 stride 2 pad 1, batchnorm, relu, "
    "conv 8 3x3 pad 1, batchnorm }, relu, avgpool 2, global-average-pool, linear 10";

TEST(Evaluation, GivesASampleAloneWhatItGivesItInAnyBatch) {
    expect_alone_as_in_any_batch<float>(dense_model, Shape::dense(49));
    expect_alone_as_in_any_batch<double>(dense_model, Shape::dense(49));
    expect_alone_as_in_any_batch<float>(image_model, {9, 8, 3});
    expect_alone_as_in_any_batch<double>(image_model, {9, 8, 3});
}

TEST(Evaluation, ChangesNeitherParametersNorAveragesNorATrainingPassUnderWay) {
    const std::vector<Index> batches = {4, 3};
    LayerHarness<float> disturbed(dense_model, Shape::dense(9), batches, Communicator::self());
    LayerHarness<float> undisturbed(dense_model, Shape::dense(9), batches, Communicator::self());
    disturbed.forward();
    disturbed.infer(disturbed.x[1].const_tensor());
    disturbed.backward();
    undisturbed.forward();
    undisturbed.backward();
    const auto size = static_cast<std::size_t>(disturbed.layout().parameter_values());
    EXPECT_TRUE(std::ranges::equal(disturbed.parameters(), undisturbed.parameters()));
    EXPECT_TRUE(std::ranges::equal(disturbed.averages(), undisturbed.averages()));
    EXPECT_TRUE(std::ranges::equal(std::span(disturbed.gradients().cover()[0], size),
                                   std::span(undisturbed.gradients().cover()[0], size)));
    EXPECT_EQ(disturbed.dx[0].values, undisturbed.dx[0].values);
}

TEST(Evaluation, UsesTheRunningAverages) {
    LayerHarness<double> harness("batchnorm", Shape::dense(2), {4}, Communicator::self());
    const std::vector<double> gamma(harness.parameters().begin(), harness.parameters().begin() + 2);
    const auto output = harness.infer(harness.x[0].const_tensor());
    const auto info = harness.layout().averages();
    const auto find = [&](const std::string& name, std::size_t c) {
        const auto found = std::ranges::find(info, name, &ParameterInfo::name);
        return harness.averages()[static_cast<std::size_t>(found->offset) + c];
    };
    const auto beta = static_cast<std::size_t>(harness.layout().parameters()[1].offset);
    for (std::size_t i = 0; i < output.values.size(); ++i) {
        const std::size_t c = i % 2;
        const double expected = (harness.x[0].values[i] - find("0.running_mean", c)) /
                                    std::sqrt(find("0.running_var", c) + 1e-5) * gamma[c] +
                                harness.parameters()[beta + c];
        EXPECT_NEAR(output.values[i], expected, 1e-12);
    }
}

}  // namespace
}  // namespace lockstep::test
