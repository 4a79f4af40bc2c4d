// The options of the C interface are a struct that grows: callers compiled with an older or a newer one work.
#include "support/c_handles.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace lockstep {
namespace {

using testing::c_self;
using testing::CLayer;
using testing::contains;
using testing::must;
using Options = lockstep_batch_norm_options;

constexpr auto known_size = static_cast<std::int64_t>(sizeof(Options));

/// The memory of a caller whose struct ends after `size` bytes; what follows is its own.
struct Caller {
    alignas(Options) std::array<unsigned char, 2 * sizeof(Options)> memory;

    Caller() { memory.fill(0xAB); }
    Options* options() { return reinterpret_cast<Options*>(memory.data()); }
    /// Whether nothing was written behind the struct.
    bool is_left_alone(std::int64_t size) const {
        return std::all_of(memory.begin() + size, memory.end(),
                           [](unsigned char byte) { return byte == 0xAB; });
    }
};

int create(const Options* options, lockstep_batch_norm** layer) {
    return lockstep_batch_norm_create(LOCKSTEP_DOUBLE, 1, c_self().get(), options, layer);
}

CLayer layer_with(const Options* options) {
    return testing::made<CLayer>([&](auto* place) { return create(options, place); });
}

/// What a layer makes of −1 and 3: 2/√(4 + ε) is where epsilon shows, and 0 instead of −… is relu.
std::pair<double, double> normalized_by(const CLayer& layer) {
    const std::array<double, 2> x{-1, 3};
    std::array<double, 2> z{};
    const auto saved = testing::c_moments();
    must(lockstep_batch_norm_forward(layer.get(), x.data(), z.data(), {2, 1, LOCKSTEP_CHANNELS_LAST},
                                     saved.get()));
    return {z[0], z[1]};
}

TEST(COptions, OfEverySizeHaveTheDefaultsAndLeaveTheRestOfMemoryAlone) {
    for (std::int64_t size = 8; size <= known_size + 16; size += 8) {
        Caller caller;
        must(lockstep_batch_norm_default_options(caller.options(), size));
        EXPECT_EQ(caller.options()->size, size);
        EXPECT_TRUE(caller.is_left_alone(size)) << size;
        const CLayer layer = layer_with(caller.options());
        EXPECT_EQ(normalized_by(layer), normalized_by(layer_with(nullptr)));
    }
    Options options;
    must(lockstep_batch_norm_default_options(&options, known_size));
    EXPECT_EQ(options.epsilon, 1e-5);
    EXPECT_EQ(options.momentum, 0.1);
    EXPECT_EQ(options.affine, 1);
    EXPECT_EQ(options.track_running_averages, 1);
    for (const std::int32_t value : {options.cumulative, options.frozen, options.activation, options.replicas,
                                     options.group, options.reserved})
        EXPECT_EQ(value, 0);
    EXPECT_EQ(options.name, nullptr);
}

TEST(COptions, OfAnOlderCallerCountAsFarAsTheyGo) {
    Caller caller;  // whatever lies behind its struct is no option: 0xABAB… is no activation and no name
    Options& options = *caller.options();
    must(lockstep_batch_norm_default_options(&options, offsetof(Options, momentum)));
    options.epsilon = 12;
    EXPECT_EQ(normalized_by(layer_with(&options)), std::pair(-0.5, 0.5));
    EXPECT_TRUE(caller.is_left_alone(offsetof(Options, momentum)));

    must(lockstep_batch_norm_default_options(&options, offsetof(Options, group)));
    options.epsilon = 12;
    options.activation = LOCKSTEP_ACTIVATION_RELU;
    options.replicas = 1;
    EXPECT_EQ(normalized_by(layer_with(&options)), std::pair(0.0, 0.5));
}

TEST(COptions, OfANewerCallerAreRefusedOnlyIfTheySetWhatIsUnknown) {
    Caller caller;
    Options& options = *caller.options();
    const std::int64_t size = known_size + 24;
    must(lockstep_batch_norm_default_options(&options, size));
    options.epsilon = 12;
    EXPECT_EQ(normalized_by(layer_with(&options)), std::pair(-0.5, 0.5));
    caller.memory[static_cast<std::size_t>(size) - 1] = 1;
    lockstep_batch_norm* layer = nullptr;
    EXPECT_EQ(create(&options, &layer), LOCKSTEP_USAGE_ERROR);
    EXPECT_TRUE(contains(lockstep_message(), "does not know")) << lockstep_message();
    EXPECT_EQ(layer, nullptr);
}

TEST(COptions, OfASizeThatNoVersionHasAreRefused) {
    for (const std::int64_t size :
         {std::int64_t{-8}, std::int64_t{0}, std::int64_t{4}, known_size + 1, std::int64_t{1} << 40}) {
        Caller caller;
        EXPECT_EQ(lockstep_batch_norm_default_options(caller.options(), size), LOCKSTEP_USAGE_ERROR) << size;
        EXPECT_TRUE(contains(lockstep_message(), std::to_string(size) + " is no size")) << lockstep_message();
        EXPECT_TRUE(caller.is_left_alone(0));
        Options options = testing::c_options();
        options.size = size;
        lockstep_batch_norm* layer = nullptr;
        EXPECT_EQ(create(&options, &layer), LOCKSTEP_USAGE_ERROR) << size;
        EXPECT_TRUE(contains(lockstep_message(), std::to_string(size) + " is no size")) << lockstep_message();
    }
}

TEST(COptions, ThatMakeNoSenseAreRefused) {
    const auto expect_refused = [](void (*change)(Options&), const char* words) {
        Options options = testing::c_options();
        change(options);
        lockstep_batch_norm* layer = nullptr;
        EXPECT_EQ(create(&options, &layer), LOCKSTEP_USAGE_ERROR) << words;
        EXPECT_TRUE(contains(lockstep_message(), words)) << lockstep_message();
    };
    expect_refused([](Options& options) { options.epsilon = 0; }, "epsilon");
    expect_refused([](Options& options) { options.momentum = 2; }, "momentum");
    expect_refused([](Options& options) { options.activation = 2; }, "unknown activation 2");
    expect_refused([](Options& options) { options.replicas = -1; }, "-1 replicas");
    expect_refused([](Options& options) { options.group = 2; }, "groups of 2");
    expect_refused([](Options& options) { options.reserved = 1; }, "reserved");
    expect_refused(
        [](Options& options) {
            options.frozen = 1;
            options.track_running_averages = 0;
        },
        "a frozen layer needs running averages");
}

TEST(COptions, HaveAnIgnoredMomentumIfAveragesArePlain) {
    Options options = testing::c_options();
    options.momentum = 7;
    options.cumulative = 1;
    EXPECT_NE(layer_with(&options), nullptr);
}

TEST(COptions, AreCopiedWithTheirName) {
    std::string name = "closure";
    Options options = testing::c_options();
    options.name = name.c_str();
    const CLayer layer = layer_with(&options);
    name.assign("another");
    const char* kept = nullptr;
    must(lockstep_batch_norm_describe(layer.get(), nullptr, nullptr, nullptr, nullptr, &kept));
    EXPECT_STREQ(kept, "closure");
}

}  // namespace
}  // namespace lockstep
