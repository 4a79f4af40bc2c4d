// Who is kept out of a folder, and whose lock is removed.
#include "launch/folder_lock.hpp"

#include <lockstep/base/error.hpp>

#include <support/scratch_folder.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

namespace lockstep::launch {
namespace {

using test::message_of;
using test::read_text;
using test::ScratchFolder;
using test::write_text;

constexpr double timeout_seconds = 1;

TEST(FolderLock, OfAFileIsSeenUntilItIsClosed) {
    const ScratchFolder folder;
    const auto path = folder / "file";
    EXPECT_FALSE(is_locked(path));
    const int first = ::open(path.c_str(), O_RDWR | O_CREAT, 0600), second = ::open(path.c_str(), O_RDWR);
    EXPECT_FALSE(is_locked(path));
    EXPECT_EQ(lock_file(first), LockOutcome::taken);
    EXPECT_TRUE(is_locked(path));
    EXPECT_EQ(lock_file(second), LockOutcome::held_by_another);
    ::close(first);
    EXPECT_FALSE(is_locked(path));
    EXPECT_EQ(lock_file(second), LockOutcome::taken);
    ::close(second);
}

TEST(FolderLock, KeepsOthersOutAndLeavesNothing) {
    const ScratchFolder folder;
    {
        const FolderLock lock(folder.path(), timeout_seconds);
        EXPECT_EQ(lock.fault(), "");
        const std::string message =
            message_of<UsageError>([&] { const FolderLock another(folder.path(), timeout_seconds); });
        EXPECT_NE(message.find("(process " + std::to_string(::getpid()) + " on "), std::string::npos)
            << message;
    }
    EXPECT_EQ(folder.entries(), 0);
}

TEST(FolderLock, ThatIsTakenAwayByHandIsNotTakenFromWhoHasItNow) {
    const ScratchFolder folder;
    {
        const FolderLock lock(folder.path(), timeout_seconds);
        std::filesystem::remove(folder / ".lock");
        write_text(folder / ".lock", "somebody else");
    }
    EXPECT_EQ(read_text(folder / ".lock"), "somebody else");
}

}  // namespace
}  // namespace lockstep::launch
