#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/nn/loss.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

struct Reference {
    long double loss = 0;
    std::vector<long double> gradient;
};

/// The textbook formula in long double, which overflows for none of the logits below.
template <class Scalar>
Reference reference(const std::vector<Scalar>& logits, const std::vector<std::uint8_t>& labels,
                    std::size_t classes, Index divisor) {
    Reference result;
    for (std::size_t sample = 0; sample < labels.size(); ++sample) {
        long double total = 0;
        for (std::size_t k = 0; k < classes; ++k)
            total += std::exp(static_cast<long double>(logits[sample * classes + k]));
        result.loss += std::log(total) - static_cast<long double>(logits[sample * classes + labels[sample]]);
        for (std::size_t k = 0; k < classes; ++k) {
            const long double probability =
                std::exp(static_cast<long double>(logits[sample * classes + k])) / total;
            result.gradient.push_back((probability - (k == labels[sample] ? 1 : 0)) / divisor);
        }
    }
    return result;
}

template <class Scalar>
class LossOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(LossOf, Scalars);

TYPED_TEST(LossOf, CrossEntropyEqualsTheTextbookFormula) {
    for (const double spread : {0.01, 1.0, 30.0, 2000.0}) {
        const Index classes = 7, batch = 13;
        RandomStream random(1, RandomPurpose::test, 0);
        std::vector<TypeParam> logits(classes * batch), gradient(classes * batch);
        std::vector<std::uint8_t> labels(batch);
        for (auto& value : logits) value = static_cast<TypeParam>(spread * random.normal());
        for (auto& label : labels) label = static_cast<std::uint8_t>(random.below(classes));
        const std::vector<double> targets(labels.begin(), labels.end());
        const Tensor<const TypeParam> view{logits.data(), Shape::dense(classes), batch};
        BatchLoss<TypeParam> loss(cross_entropy(), {.classes = classes}, classes);
        const double sum =
            loss.sum(view, targets, 29, Tensor<TypeParam>{gradient.data(), Shape::dense(classes), batch});
        const Reference expected = reference(logits, labels, classes, 29);
        const double tolerance = sizeof(TypeParam) == sizeof(float) ? 3e-9 : 1e-16;
        const auto expected_loss = static_cast<double>(expected.loss);
        EXPECT_NEAR(sum, expected_loss, 1e-13 * expected_loss);
        for (std::size_t i = 0; i < gradient.size(); ++i)
            EXPECT_NEAR(gradient[i], static_cast<double>(expected.gradient[i]), tolerance);
        EXPECT_EQ(loss.sum(view, targets), sum);
    }
}

TYPED_TEST(LossOf, PredictedClassIsTheFirstOfEquals) {
    const std::vector<TypeParam> logits = {1, 3, 2, /**/ 5, 5, 0};
    const std::span view(logits);
    EXPECT_EQ(predicted_class(view.first(3)), 1);
    EXPECT_EQ(predicted_class(view.last(3)), 0);
}

TYPED_TEST(LossOf, AnEmptyBatchIsZero) {
    BatchLoss<TypeParam> loss(mean_squared_error(), {.values = 3}, 3);
    EXPECT_EQ(loss.sum(Tensor<const TypeParam>{nullptr, Shape::dense(3), 0}, {}), 0);
}

TYPED_TEST(LossOf, NotANumberStaysOne) {
    const std::vector<TypeParam> logits = {1, std::numeric_limits<TypeParam>::quiet_NaN(), 2};
    const Tensor<const TypeParam> view{logits.data(), Shape::dense(3), 1};
    BatchLoss<TypeParam> loss(cross_entropy(), {.classes = 3}, 3);
    EXPECT_TRUE(std::isnan(loss.sum(view, std::vector<double>{0})));
}

/// All losses, with a target that fits.
struct Case {
    Loss loss;
    std::vector<double> target;
};

std::vector<Case> cases() {
    const std::vector<double> values = {0.3, -2, 1.5, 0};
    return {{cross_entropy(), {2}},
            {cross_entropy(0.1), {2}},
            {mean_squared_error(), values},
            {mean_absolute_error(), values},
            {huber(), values},
            {huber(0.25), values},
            {binary_cross_entropy(), {1, 0, 0.25, 1}}};
}

TEST(LossFunctions, GradientIsTheDerivative) {
    const std::vector<double> outputs = {0.7, -1.2, 3, -0.4};
    for (const Case& one : cases()) {
        std::vector<double> gradient(outputs.size());
        const double value = one.loss->value(outputs, one.target, gradient);
        EXPECT_EQ(one.loss->value(outputs, one.target, {}), value) << one.loss->text();
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            constexpr double step = 1e-5;
            std::vector<double> above = outputs, below = outputs;
            above[i] += step;
            below[i] -= step;
            const double slope =
                (one.loss->value(above, one.target, {}) - one.loss->value(below, one.target, {})) /
                (2 * step);
            EXPECT_NEAR(gradient[i], slope, 1e-9) << one.loss->text() << ", output " << i;
        }
    }
}

TEST(LossFunctions, AreReadAsTheyAreWritten) {
    for (const Case& one : cases()) {
        const Loss again = parse_loss(one.loss->text());
        EXPECT_EQ(again->text(), one.loss->text());
        const std::vector<double> outputs = {0.7, -1.2, 3, -0.4};
        EXPECT_EQ(again->value(outputs, one.target, {}), one.loss->value(outputs, one.target, {}));
    }
    EXPECT_EQ(parse_loss("huber")->text(), "huber 1");
    for (const char* text : {"", "MSE", "huber ", "huber x", "huber 0", "huber -1",
                             "cross-entropy smoothing 1", "cross-entropy 0.1", "hinge"})
        EXPECT_THROW(parse_loss(text), UsageError) << text;
}

TEST(LossFunctions, OverflowNowhere) {
    const double huge = 1e300;
    std::vector<double> gradient(2);
    EXPECT_EQ(binary_cross_entropy()->value(std::vector{huge, -huge}, std::vector{1.0, 0.0}, gradient), 0);
    EXPECT_EQ(gradient, (std::vector<double>{0, 0}));
    EXPECT_EQ(cross_entropy()->value(std::vector{huge, -huge}, std::vector{0.0}, gradient), 0);
}

TEST(LossFunctions, FitTheirTargets) {
    const Target classes{.classes = 3}, values{.values = 2};
    EXPECT_NO_THROW(cross_entropy()->check(classes, 3));
    EXPECT_THROW(cross_entropy()->check(classes, 2), UsageError);
    EXPECT_THROW(cross_entropy()->check(values, 2), UsageError);
    for (const Loss& loss : {mean_squared_error(), mean_absolute_error(), huber(), binary_cross_entropy()}) {
        EXPECT_NO_THROW(loss->check(values, 2));
        EXPECT_THROW(loss->check(values, 3), UsageError);
        EXPECT_THROW(loss->check(classes, 3), UsageError);
    }
    EXPECT_EQ(default_loss(classes)->text(), "cross-entropy");
    EXPECT_EQ(default_loss(values)->text(), "mse");
}

TEST(LossFunctions, OnesOwnIsCalled) {
    const Loss loss = own_loss("sum", [](auto outputs, auto target, auto gradient) {
        for (double& slope : gradient) slope = target[0];
        return target[0] * (outputs[0] + outputs[1]);
    });
    EXPECT_EQ(loss->text(), "sum");
    std::vector<double> gradient(2);
    EXPECT_EQ(loss->value(std::vector{1.0, 2.0}, std::vector{3.0}, gradient), 9);
    EXPECT_EQ(gradient, (std::vector<double>{3, 3}));
    EXPECT_THROW(own_loss("", nullptr), UsageError);
    const auto nothing = [](auto, auto, auto) { return 0.0; };
    for (const char* taken : {"mse", "cross-entropy", "huber 0.5"})
        EXPECT_THROW(own_loss(taken, nothing), UsageError) << taken;
}

TEST(LossFunctions, ADerivativeOfOnesOwnThatIsNotFiniteIsAnError) {
    const Loss loss = own_loss("square root", [](auto outputs, auto, auto gradient) {
        if (!gradient.empty()) gradient[0] = 0.5 / std::sqrt(outputs[0]);
        return std::sqrt(outputs[0]);
    });
    BatchLoss<double> batch(loss, {.values = 1}, 1);
    const std::vector<double> outputs = {1, 0}, targets = {0, 0};
    std::vector<double> gradient(2);
    EXPECT_EQ(
        batch.sum({outputs.data(), Shape::dense(1), 1}, targets, 1, {gradient.data(), Shape::dense(1), 1}),
        1);
    EXPECT_THROW(
        batch.sum({outputs.data(), Shape::dense(1), 2}, targets, 2, {gradient.data(), Shape::dense(1), 2}),
        NumericalError);
}

TEST(LossFunctions, WhatOnesOwnDoesNotWriteOfAGradientIsZero) {
    // Writes the derivative by the output of the target's class alone.
    const Loss loss = own_loss("sparse", [](auto, auto target, auto gradient) {
        if (!gradient.empty()) gradient[static_cast<std::size_t>(target[0])] = 1;
        return 0.0;
    });
    BatchLoss<double> batch_loss(loss, {.classes = 2}, 2);
    const std::vector<double> outputs(4), targets{0, 1};
    std::vector<double> gradient(4, 7.0);
    batch_loss.sum({outputs.data(), Shape::dense(2), 2}, targets, 1, {gradient.data(), Shape::dense(2), 2});
    EXPECT_EQ(gradient, (std::vector<double>{1, 0, 0, 1}));
}

}  // namespace
}  // namespace lockstep
