#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/nn/loss.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
class Loss : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(Loss, Scalars);

TYPED_TEST(Loss, EqualsTheTextbookFormula) {
    for (const double spread : {0.01, 1.0, 30.0, 2000.0}) {
        const Index classes = 7, batch = 13;
        RandomStream random(1, RandomPurpose::test, 0);
        std::vector<TypeParam> logits(classes * batch), gradient(classes * batch);
        std::vector<std::uint8_t> labels(batch);
        for (auto& value : logits) value = static_cast<TypeParam>(spread * random.normal());
        for (auto& label : labels) label = static_cast<std::uint8_t>(random.below(classes));
        const Tensor<const TypeParam> view{logits.data(), Shape::dense(classes), batch};
        const LossSums sums =
            cross_entropy(view, labels, 29, Tensor<TypeParam>{gradient.data(), Shape::dense(classes), batch});
        const Reference expected = reference(logits, labels, classes, 29);
        const double tolerance = sizeof(TypeParam) == sizeof(float) ? 3e-9 : 1e-16;
        const auto expected_loss = static_cast<double>(expected.loss);
        EXPECT_NEAR(sums.loss, expected_loss, 1e-13 * expected_loss);
        for (std::size_t i = 0; i < gradient.size(); ++i)
            EXPECT_NEAR(gradient[i], static_cast<double>(expected.gradient[i]), tolerance);
        EXPECT_EQ(cross_entropy(view, labels).loss, sums.loss);
        EXPECT_EQ(cross_entropy(view, labels).correct, sums.correct);
    }
}

TYPED_TEST(Loss, CountsTheSamplesWhoseLabelIsOnTop) {
    const std::vector<TypeParam> logits = {1, 3, 2, /**/ 5, 5, 0, /**/ 5, 5, 0};
    const Tensor<const TypeParam> view{logits.data(), Shape::dense(3), 3};
    EXPECT_EQ(predicted_class(view, 0), 1);
    EXPECT_EQ(predicted_class(view, 1), 0) << "the first of equals";
    EXPECT_EQ(cross_entropy(view, std::vector<std::uint8_t>{1, 0, 1}).correct, 2);
}

TYPED_TEST(Loss, RejectsALabelThatIsNoClass) {
    const std::vector<TypeParam> logits(6);
    const Tensor<const TypeParam> view{logits.data(), Shape::dense(3), 2};
    EXPECT_THROW(cross_entropy(view, std::vector<std::uint8_t>{0, 3}), Error);
    EXPECT_THROW(cross_entropy(view, std::vector<std::uint8_t>{255, 0}), Error);
}

TYPED_TEST(Loss, OfAnEmptyBatchIsZero) {
    const LossSums sums = cross_entropy(Tensor<const TypeParam>{nullptr, Shape::dense(3), 0}, {});
    EXPECT_EQ(sums.loss, 0);
    EXPECT_EQ(sums.correct, 0);
}

TYPED_TEST(Loss, ShowsThatALogitIsNotANumber) {
    const std::vector<TypeParam> logits = {1, std::numeric_limits<TypeParam>::quiet_NaN(), 2};
    const Tensor<const TypeParam> view{logits.data(), Shape::dense(3), 1};
    EXPECT_TRUE(std::isnan(cross_entropy(view, std::vector<std::uint8_t>{0}).loss));
}

}  // namespace
}  // namespace lockstep
