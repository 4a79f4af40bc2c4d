#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fcntl.h>
#include <cerrno>
#include <string>

#include "support/file_size_limit.hpp"
#include "support/scratch_folder.hpp"

namespace {

/// What the calls below fail with, from the one after so many on; 0 where they do as they should.
int fsync_error = 0, rename_error = 0;
int good_fsyncs = 0;

}  // namespace

// In place of the C library's, for all of this program: a file system that fails when it is asked to keep its word.
// Visible, for what a shared library calls is looked for among the visible ones.
#pragma GCC visibility push(default)
extern "C" int fsync(int file) {
    if (fsync_error == 0 || good_fsyncs-- > 0) return static_cast<int>(syscall(SYS_fsync, file));
    errno = fsync_error;
    return -1;
}
extern "C" int rename(const char* from, const char* to) noexcept {
    if (rename_error == 0) return renameat(AT_FDCWD, from, AT_FDCWD, to);
    errno = rename_error;
    return -1;
}
#pragma GCC visibility pop

namespace lockstep {
namespace {

using test::FileSizeLimit;
using test::message_of;
using test::read_text;
using test::ScratchFolder;
using test::write_text;

TEST(AtomicFile, HoldsWhatWasWrittenAfterTheCommit) {
    const ScratchFolder folder;
    const std::string large(3'000'000, 'x');
    AtomicFile file(folder / "result");
    file.write("one ");
    file.write("two ");
    file.write(large);
    file.commit();
    EXPECT_EQ(read_text(folder / "result"), "one two " + large);
    EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, ReplacesTheOldFileAtTheCommitAndNotBefore) {
    const ScratchFolder folder;
    write_text(folder / "result", "old");
    AtomicFile file(folder / "result");
    file.write("new");
    EXPECT_EQ(read_text(folder / "result"), "old");
    file.commit();
    EXPECT_EQ(read_text(folder / "result"), "new");
}

TEST(AtomicFile, LeavesNothingBehindWithoutACommit) {
    const ScratchFolder folder;
    write_text(folder / "result", "old");
    EXPECT_THROW(
        {
            AtomicFile file(folder / "result");
            file.write("half of the n");
            throw std::runtime_error("something else went wrong");
        },
        std::runtime_error);
    EXPECT_EQ(read_text(folder / "result"), "old");
    EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, TwoWritersOfOneTargetDoNotMix) {
    const ScratchFolder folder;
    AtomicFile first(folder / "result");
    AtomicFile second(folder / "result");
    first.write("first");
    second.write("second");
    first.commit();
    EXPECT_EQ(read_text(folder / "result"), "first");
    second.commit();
    EXPECT_EQ(read_text(folder / "result"), "second");
    EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, GivesTheFileThePermissionsOfAnyOther) {
    const ScratchFolder folder;
    const mode_t before = ::umask(022);
    AtomicFile file(folder / "result");
    file.commit();
    ::umask(before);
    struct stat status {};
    ASSERT_EQ(::stat((folder / "result").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0644u);
}

TEST(AtomicFile, NamesTheFileAndTheReasonWhereTheFolderIsMissing) {
    const ScratchFolder folder;
    const auto message = message_of<FileError>([&] { AtomicFile(folder / "no/such/result"); });
    EXPECT_NE(message.find((folder / "no/such/result").string()), std::string::npos) << message;
    EXPECT_NE(message.find("No such file or directory"), std::string::npos) << message;
}

TEST(AtomicFile, RefusesAFolderThatIsAFile) {
    const ScratchFolder folder;
    write_text(folder / "file", "");
    EXPECT_THROW(AtomicFile(folder / "file/result"), FileError);
}

TEST(AtomicFile, RefusesAFolderWithoutPermission) {
    if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
    const ScratchFolder folder;
    ::chmod(folder.path().c_str(), 0555);
    const auto message = message_of<FileError>([&] { AtomicFile(folder / "result"); });
    ::chmod(folder.path().c_str(), 0755);
    EXPECT_NE(message.find("Permission denied"), std::string::npos) << message;
}

TEST(AtomicFile, RefusesAFolderInTheFilesPlace) {
    const ScratchFolder folder;
    std::filesystem::create_directory(folder / "result");
    AtomicFile file(folder / "result");
    const auto message = message_of<FileError>([&] { file.commit(); });
    EXPECT_NE(message.find((folder / "result").string()), std::string::npos) << message;
}

TEST(AtomicFile, NoticesThatTheBytesDoNotFit) {
    const ScratchFolder folder;
    write_text(folder / "result", "old");
    {
        const FileSizeLimit limit(10'000);
        AtomicFile file(folder / "result");
        const std::string large(15'000, 'x');
        const auto message = message_of<FileError>([&] { file.write(large); });
        EXPECT_NE(message.find((folder / "result").string()), std::string::npos) << message;
    }
    EXPECT_EQ(read_text(folder / "result"), "old");
    EXPECT_EQ(folder.entries(), 1);
}

/// The error of a commit that replaces "old", and what the folder holds afterwards.
std::string message_of_commit(const ScratchFolder& folder) {
    write_text(folder / "result", "old");
    const std::string message = message_of<FileError>([&] {
        AtomicFile file(folder / "result");
        file.write("new");
        file.commit();
    });
    fsync_error = rename_error = 0;
    EXPECT_EQ(folder.entries(), 1) << "nothing half is left";
    return message;
}

TEST(AtomicFile, WhereTheDiskFailsToFlushTheOldFileStays) {
    const ScratchFolder folder;
    fsync_error = EIO;
    good_fsyncs = 0;
    const std::string message = message_of_commit(folder);
    EXPECT_NE(message.find("cannot flush " + (folder / "result").string()), std::string::npos) << message;
    EXPECT_EQ(read_text(folder / "result"), "old");
}

TEST(AtomicFile, WhereRenamingFailsTheOldFileStays) {
    const ScratchFolder folder;
    rename_error = EXDEV;
    const std::string message = message_of_commit(folder);
    EXPECT_NE(message.find("cannot put in place " + (folder / "result").string()), std::string::npos)
        << message;
    EXPECT_EQ(read_text(folder / "result"), "old");
}

TEST(AtomicFile, WhereTheFolderCannotBeFlushedTheErrorSaysSo) {
    const ScratchFolder folder;
    fsync_error = EIO;
    good_fsyncs = 1;
    const std::string message = message_of_commit(folder);
    EXPECT_NE(message.find("cannot flush the folder of " + (folder / "result").string()), std::string::npos)
        << message;
    EXPECT_EQ(read_text(folder / "result"), "new") << "in its place, though a power cut might still undo it";
}

TEST(FlushFolder, SaysWhereTheDiskFails) {
    const ScratchFolder folder;
    EXPECT_NO_THROW(flush_folder(folder.path()));
    fsync_error = EIO;
    good_fsyncs = 0;
    const std::string message = message_of<FileError>([&] { flush_folder(folder.path()); });
    fsync_error = 0;
    EXPECT_NE(message.find("cannot flush the folder " + folder.path().string()), std::string::npos)
        << message;
}

}  // namespace
}  // namespace lockstep
