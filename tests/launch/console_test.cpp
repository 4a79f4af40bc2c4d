// What people copy from the screen.
#include "launch/console.hpp"

#include <gtest/gtest.h>

namespace lockstep::launch {
namespace {

TEST(Console, AWordForTheShellHasQuotesWhereItNeedsThem) {
    EXPECT_EQ(shell_word("runs/mine-2"), "runs/mine-2");
    EXPECT_EQ(shell_word("my runs/$1"), "'my runs/$1'");
    EXPECT_EQ(shell_word("it's"), R"('it'\''s')");
    EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace lockstep::launch
