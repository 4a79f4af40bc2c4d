// The look at the data before training: the same bits on any number of ranks, faults known to all, files that
// differ between ranks found out.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/data/digits.hpp>
#include <lockstep/train/data_survey.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

namespace lockstep::test {
namespace {

using testing::contains;
using testing::error_of;

/// Values of any precision, computed.
struct Computed final : Dataset {
    Index samples = 0;
    Shape shape = Shape::dense(5);
    Target wanted{.values = 1};
    InputPrecision inputs = InputPrecision::double_values;
    std::function<double(Index, Index)> value = [](Index sample, Index feature) {
        return 1e6 * static_cast<double>(feature) + std::sin(static_cast<double>(sample + 7 * feature));
    };

    /// All values of a sample alike, where this is set: quick for long ones.
    std::function<double(Index)> constant;

    explicit Computed(Index count) : samples(count) {}
    std::string name() const override { return "computed"; }
    Index size() const override { return samples; }
    Shape input_shape() const override { return shape; }
    Target target() const override { return wanted; }
    InputPrecision precision() const override { return inputs; }
    void read_input(Index sample, double* values) const override {
        if (constant) return static_cast<void>(std::fill_n(values, shape.size(), constant(sample)));
        for (Index i = 0; i < shape.size(); ++i) values[i] = value(sample, i);
    }
    void read_target(Index sample, double* values) const override {
        *values = static_cast<double>(sample % 10);
    }
};

TEST(DataSurvey, HasTheSameBitsOnAnyNumberOfRanks) {
    const Communicator world(MPI_COMM_WORLD);
    for (const Index samples : {1, 2, 1637, 1638, 30000}) {
        const Computed data(samples);
        const DataSurvey together = survey(data, world, {.moments = true});
        const DataSurvey alone = survey(data, Communicator::self(), {.moments = true});
        EXPECT_EQ(together.description, alone.description);
        EXPECT_EQ(together.means, alone.means);
        EXPECT_EQ(together.deviations, alone.deviations);
        EXPECT_EQ(survey(data, world).description, alone.description) << "moments are no part of it";
    }
}

TEST(DataSurvey, MomentsAreThoseOfTheChannels) {
    const Computed data(30000);
    const DataSurvey found = survey(data, Communicator(MPI_COMM_WORLD), {.moments = true});
    for (Index feature = 0; feature < 5; ++feature) {
        long double mean = 0, squares = 0;
        for (Index i = 0; i < data.size(); ++i) mean += data.value(i, feature) / 30000.0L;
        for (Index i = 0; i < data.size(); ++i) squares += std::pow(data.value(i, feature) - mean, 2.0L);
        const auto c = static_cast<std::size_t>(feature);
        EXPECT_NEAR(found.means[c], static_cast<double>(mean), 1e-9);
        EXPECT_NEAR(found.deviations[c], std::sqrt(static_cast<double>(squares / 30000)), 1e-9);
    }
}

TEST(DataSurvey, PixelsOfAChannelAreTakenTogether) {
    Images images = noisy_columns(300);
    images.shape = {6, 3, 2};
    const DataSurvey found = survey(images, Communicator(MPI_COMM_WORLD), {.moments = true});
    ASSERT_EQ(found.means.size(), 2u);
    for (std::size_t c = 0; c < 2; ++c) {
        double sum = 0;
        for (std::size_t i = c; i < images.pixels.size(); i += 2) sum += images.pixels[i];
        EXPECT_NEAR(found.means[c], sum / static_cast<double>(images.pixels.size() / 2), 1e-12);
    }
}

TEST(DataSurvey, TellsDataApart) {
    const Communicator world(MPI_COMM_WORLD);
    std::set<std::string> seen;
    const auto is_new = [&](const Dataset& data) {
        return seen.insert(survey(data, world).description).second;
    };
    const Images data = make_digits(1, 0, 300);
    EXPECT_TRUE(is_new(data));
    for (const std::size_t i : {std::size_t{0}, data.pixels.size() / 2, data.pixels.size() - 1}) {
        Images other = data;
        other.pixels[i] ^= 1;
        EXPECT_TRUE(is_new(other)) << i;
    }
    for (const std::size_t i : {std::size_t{0}, std::size_t{299}}) {
        Images other = data;
        other.labels[i] = static_cast<std::uint8_t>((other.labels[i] + 1) % 10);
        EXPECT_TRUE(is_new(other)) << i;
    }
    Images shape = data, classes = data, swapped = data;
    shape.shape = {14, 56, 1};
    EXPECT_TRUE(is_new(shape));
    classes.classes = 11;
    EXPECT_TRUE(is_new(classes));
    for (std::size_t i = 0; i < 784; ++i) std::swap(swapped.pixels[i], swapped.pixels[784 * 200 + i]);
    EXPECT_TRUE(is_new(swapped));
    EXPECT_FALSE(is_new(make_digits(1, 0, 300)));
}

TEST(DataSurvey, OfManyInputsHashesAPartOrAllIfAsked) {
    const Communicator world(MPI_COMM_WORLD);
    // 1.6 GB of inputs, one sample a block.
    const auto with_odd = [](Index odd) {
        Computed data(200);
        data.shape = Shape::dense(1 << 20);
        data.constant = [odd](Index sample) { return sample == odd ? 2.0 : 1.0; };
        return data;
    };
    const std::string before = survey(with_odd(-1), world).description;
    int unseen = 0;
    for (const Index odd : {1, 2, 3}) unseen += survey(with_odd(odd), world).description == before ? 1 : 0;
    EXPECT_GT(unseen, 0) << "all inputs were hashed";
    EXPECT_LT(unseen, 3) << "hardly any input was hashed";
    EXPECT_NE(survey(with_odd(0), world).description, before);
    EXPECT_NE(survey(with_odd(199), world).description, before);
}

TEST(DataSurvey, AFaultInOneRanksShareIsKnownToAll) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    constexpr Index samples = 20000;
    for (const Index bad : {Index{0}, Index{12345}, samples - 1}) {
        Computed data(samples);
        data.value = [bad](Index sample, Index feature) {
            return sample == bad && feature == 3 ? std::numeric_limits<double>::quiet_NaN() : 0.5;
        };
        const std::string text = error_of<Error>([&] { survey(data, world); });
        EXPECT_TRUE(contains(text, "sample " + std::to_string(bad) + ", feature 3 is NaN")) << text;
    }
    Computed data(samples);
    data.value = [](Index sample, Index) { return sample == 777 ? HUGE_VAL : 0.0; };
    EXPECT_TRUE(contains(error_of<Error>([&] { Trainer<float>({.model = "linear 1"}, data, world); }),
                         "sample 777, feature 0 is infinite"));
    EXPECT_NO_THROW(survey(noisy_columns(20), world)) << "the communicator remains usable";
}

TEST(DataSurvey, BytesAreBytes) {
    const Communicator world(MPI_COMM_WORLD);
    for (const double no_byte : {300.0, 0.5, -1.0}) {
        Computed data(100);
        data.inputs = InputPrecision::byte;
        data.value = [=](Index sample, Index feature) {
            return sample == 17 && feature == 2 ? no_byte : 255;
        };
        EXPECT_TRUE(contains(error_of<Error>([&] { survey(data, world); }), "sample 17, feature 2 is"));
    }
}

TEST(DataSurvey, OfADataSetThatIsNoneIsAnError) {
    const Communicator world(MPI_COMM_WORLD);
    const auto refuses = [&](Computed data, const char* why) {
        const auto train = [&] { Trainer<float>({.model = "linear 1"}, data, world); };
        EXPECT_TRUE(contains(error_of<UsageError>(train), why)) << error_of<Error>(train);
        EXPECT_TRUE(contains(error_of<UsageError>([&] { survey(data, world); }), why));
    };
    refuses(Computed(0), "has no sample");
    Computed shapeless(10), torn(10);
    shapeless.shape = Shape::dense(0);
    refuses(shapeless, "without a value");
    torn.wanted = {.classes = 2, .values = 1};
    refuses(torn, "2 classes and 1 values");
    torn.wanted = {.classes = -1};
    refuses(torn, "-1 classes");
}

TEST(DataSurvey, ADoubleThatIsNoFloatIsNamed) {
    Computed data(100);
    data.value = [](Index sample, Index feature) { return sample == 17 && feature == 2 ? 1e300 : 1; };
    Trainer<float> trainer({.model = "linear 1"}, data, Communicator::self());
    EXPECT_TRUE(contains(error_of<NumericalError>([&] { trainer.run_epoch(); }),
                         "sample 17, feature 2 is 1e+300, which float cannot hold"));
}

TEST(DataSurvey, FilesThatAreNotTheSameEverywhereAreFoundOut) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    if (world.size() == 1) return;
    Computed data(20000);
    if (world.rank() == world.size() - 1)
        data.value = [](Index sample, Index) { return static_cast<double>(sample); };
    EXPECT_TRUE(
        contains(error_of<CommunicationError>([&] { Trainer<float>({.model = "linear 1"}, data, world); }),
                 "training data"));
}

}  // namespace
}  // namespace lockstep::test
