// Our own exp, log, …: how far they are from the truth, what they give at the edges, and that the bits depend on
// neither the instruction set nor on where in an array a value stands.
#include <lockstep/simd/instruction_set.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "simd/array_math.hpp"
#include "simd/math.hpp"

namespace lockstep {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class Scalar>
struct Function {
    std::string name;
    typename ArrayMath<Scalar>::Function ArrayMath<Scalar>::*member;
    double (*of_one)(double);
    long double (*exact)(long double);
};

template <class Scalar>
std::vector<Function<Scalar>> functions() {
    using Table = ArrayMath<Scalar>;
    return {{"exp", &Table::exp, exp_of, [](long double x) { return std::exp(x); }},
            {"expm1", &Table::expm1, expm1_of, [](long double x) { return std::expm1(x); }},
            {"log", &Table::log, log_of, [](long double x) { return std::log(x); }},
            {"log1p", &Table::log1p, log1p_of, [](long double x) { return std::log1p(x); }},
            {"tanh", &Table::tanh, tanh_of, [](long double x) { return std::tanh(x); }},
            {"erf", &Table::erf, erf_of, [](long double x) { return std::erf(x); }},
            {"sigmoid", &Table::sigmoid, sigmoid_of, [](long double x) { return 1 / (1 + std::exp(-x)); }}};
}

/// Numbers of every magnitude and sign, and densely those where the functions bend, overflow and underflow.
template <class Scalar>
std::vector<Scalar> sweep() {
    std::vector<Scalar> values;
    for (int exponent = std::numeric_limits<Scalar>::min_exponent - std::numeric_limits<Scalar>::digits;
         exponent < std::numeric_limits<Scalar>::max_exponent; ++exponent)
        for (int i = 0; i < 40; ++i)
            for (const double sign : {1, -1})
                values.push_back(static_cast<Scalar>(std::ldexp(sign * (1 + 0.02497 * i), exponent)));
    for (const double reach : {1.0, 8.0, 40.0, 750.0})
        for (int i = -15'000; i <= 15'000; ++i) values.push_back(static_cast<Scalar>(i * reach / 14'999.3));
    // Results that are subnormal or all but infinite, and both sides of 1.
    for (int i = 0; i < 10'000; ++i) {
        values.push_back(static_cast<Scalar>(-708 - i * 0.004));
        values.push_back(static_cast<Scalar>(-87 - i * 0.002));
        values.push_back(static_cast<Scalar>(709 + i * 0.0001));
        values.push_back(static_cast<Scalar>(0.5 + i * 0.0002));
    }
    for (const double edge : {0.0, -0.0, infinity, -infinity, nan, -1.0, 1.0})
        for (const double beside : {-infinity, edge, infinity})
            values.push_back(std::nextafter(static_cast<Scalar>(edge), static_cast<Scalar>(beside)));
    return values;
}

/// |computed − exact| in units of the last place of `exact`.
template <class Scalar>
double distance(Scalar computed, long double exact) {
    using Limits = std::numeric_limits<Scalar>;
    const auto nearest = static_cast<Scalar>(exact);
    if (computed == nearest || (std::isnan(computed) && std::isnan(exact))) return 0;
    if (std::isinf(nearest) || !std::isfinite(computed)) return infinity;
    const int exponent = exact == 0 ? Limits::min_exponent : std::ilogb(exact) + 1;
    const long double unit = std::ldexp(1.0L, std::max(exponent, Limits::min_exponent) - Limits::digits);
    return static_cast<double>(std::abs(static_cast<long double>(computed) - exact) / unit);
}

template <class Scalar>
void expect_close(double most) {
    const std::vector<Scalar> x = sweep<Scalar>();
    std::vector<Scalar> z(x.size());
    for (const auto& function : functions<Scalar>()) {
        (array_math<Scalar>().*function.member)(x.data(), z.data(), static_cast<Index>(x.size()));
        double worst = 0, where = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double off = distance(z[i], function.exact(static_cast<long double>(x[i])));
            if (!(off <= worst)) worst = off, where = static_cast<double>(x[i]);
        }
        EXPECT_LE(worst, most) << function.name << " of " << where;
    }
}

TEST(Mathematics, IsWithinAUnitInTheLastPlaceOrALittleMoreInDouble) {
    expect_close<double>(1.3);
}

TEST(Mathematics, IsAsGoodAsCorrectlyRoundedInFloat) {
    expect_close<float>(0.51);
}

template <class Scalar>
std::vector<std::uint64_t> bits_of(const std::vector<Scalar>& values) {
    std::vector<std::uint64_t> bits;
    bits.reserve(values.size());
    for (const Scalar value : values)
        bits.push_back(std::bit_cast<std::uint64_t>(static_cast<double>(value)));
    return bits;
}

template <class Scalar>
void expect_same_bits() {
    const std::vector<Scalar> x = sweep<Scalar>();
    const auto count = static_cast<Index>(x.size());
    for (const auto& function : functions<Scalar>()) {
        SCOPED_TRACE(function.name);
        std::vector<Scalar> one_by_one(x.size()), z(x.size());
        for (std::size_t i = 0; i < x.size(); ++i)
            (array_math<Scalar>(InstructionSet::portable).*function.member)(&x[i], &one_by_one[i], 1);
        const auto expected = bits_of(one_by_one);
        for (const InstructionSet set : available_instruction_sets()) {
            const auto compute = array_math<Scalar>(set).*function.member;
            compute(x.data(), z.data(), count);
            EXPECT_EQ(bits_of(z), expected) << to_string(set);
            // In parts that begin anywhere and end anywhere, in place.
            z = x;
            for (Index first = 0, part = 1; first < count; first += part, part = part % 23 + 1)
                compute(z.data() + first, z.data() + first, std::min(part, count - first));
            EXPECT_EQ(bits_of(z), expected) << to_string(set) << " in parts";
        }
        if constexpr (std::is_same_v<Scalar, double>) {
            std::ranges::transform(x, z.begin(), function.of_one);
            EXPECT_EQ(bits_of(z), expected) << "one by one";
        }
    }
}

TEST(Mathematics, GivesTheSameBitsOnEveryInstructionSetAndAtEveryPlace) {
    expect_same_bits<double>();
    expect_same_bits<float>();
}

TEST(Mathematics, WritesNothingBehindTheEnd) {
    for (const InstructionSet set : available_instruction_sets())
        for (Index count = 0; count < 20; ++count) {
            std::vector<float> values(static_cast<std::size_t>(count) + 1, 2.0f);
            array_math<float>(set).exp(values.data(), values.data(), count);
            EXPECT_EQ(values.back(), 2.0f);
        }
}

TEST(Mathematics, IsRightAtTheEdges) {
    const double smallest = std::numeric_limits<double>::denorm_min();
    struct Edge {
        double computed, expected;
    };
    const Edge edges[] = {{exp_of(0.0), 1},
                          {exp_of(-0.0), 1},
                          {exp_of(infinity), infinity},
                          {exp_of(-infinity), 0},
                          {exp_of(709.79), infinity},
                          {exp_of(-745.14), 0},
                          {exp_of(-745.13), smallest},
                          {expm1_of(-infinity), -1},
                          {expm1_of(-0.0), -0.0},
                          {expm1_of(infinity), infinity},
                          {log_of(0.0), -infinity},
                          {log_of(-0.0), -infinity},
                          {log_of(1.0), 0},
                          {log_of(infinity), infinity},
                          {log_of(-1.0), nan},
                          {log_of(-infinity), nan},
                          {log1p_of(-0.0), -0.0},
                          {log1p_of(-1.0), -infinity},
                          {log1p_of(-1.5), nan},
                          {log1p_of(infinity), infinity},
                          {log1p_of(smallest), smallest},
                          {tanh_of(-0.0), -0.0},
                          {tanh_of(infinity), 1},
                          {tanh_of(-infinity), -1},
                          {tanh_of(-smallest), -smallest},
                          {erf_of(-0.0), -0.0},
                          {erf_of(infinity), 1},
                          {erf_of(-infinity), -1},
                          {sigmoid_of(-0.0), 0.5},
                          {sigmoid_of(infinity), 1},
                          {sigmoid_of(-infinity), 0},
                          {sigmoid_of(-745.13), smallest}};
    for (std::size_t i = 0; i < std::size(edges); ++i) {
        const auto [computed, expected] = edges[i];
        if (std::isnan(expected))
            EXPECT_TRUE(std::isnan(computed)) << "edge " << i;
        else
            EXPECT_EQ(std::bit_cast<std::uint64_t>(computed), std::bit_cast<std::uint64_t>(expected))
                << "edge " << i << ": " << computed << " for " << expected;
    }
    for (const auto& function : functions<double>()) EXPECT_TRUE(std::isnan(function.of_one(nan)));
}

}  // namespace
}  // namespace lockstep
