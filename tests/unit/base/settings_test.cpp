#include <lockstep/base/settings.hpp>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

const Settings sgd = {{"optimizer", "sgd"}, {"momentum", "0.9"}, {"seed", "1"}};

TEST(Settings, ReadBackAsTheyWereWritten) {
    EXPECT_EQ(parse_settings(serialize(sgd)), sgd);
    const Settings odd = {{"model", "conv 3, \"relu\"; = # \n"}, {"empty", ""}};
    EXPECT_EQ(parse_settings(serialize(odd)), odd);
    EXPECT_EQ(parse_settings(serialize({})), Settings{});
}

TEST(Settings, ChangesAreNamedOldAndNewAndNothingElseIs) {
    EXPECT_EQ(changes_text(sgd, sgd), "");
    EXPECT_EQ(changes_text(sgd, {{"seed", "2"}, {"optimizer", "sgd"}, {"momentum", "0.9"}}),
              "seed was 1, and is 2");
    EXPECT_EQ(changes_text(sgd, {{"optimizer", "sgd"}, {"momentum", "0.5"}, {"seed", "2"}}),
              "momentum was 0.9, and is 0.5; seed was 1, and is 2");
}

TEST(Settings, WhatComesWithAChangeIsNotNamedBesideIt) {
    EXPECT_EQ(changes_text(sgd, {{"optimizer", "adamw"}, {"beta1", "0.9"}, {"seed", "1"}}),
              "optimizer was sgd, and is adamw");
}

TEST(Settings, WhatOnlyOneListHasIsNamedIfNothingElseDiffers) {
    EXPECT_EQ(changes_text(sgd, {{"optimizer", "sgd"}, {"momentum", "0.9"}}), "seed was 1, and is (not set)");
    EXPECT_EQ(changes_text({}, {{"seed", "1"}}), "seed was (not set), and is 1");
}

}  // namespace
}  // namespace lockstep
