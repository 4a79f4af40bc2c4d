/// What killed processes leave beside their targets is removed, and nothing else is.
#include <lockstep/base/atomic_file.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using test::read_text;
using test::ScratchFolder;
using test::write_text;

/// A child process that runs `work` and ends with 0, with 1 if that throws.
pid_t start(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    try {
        work();
    } catch (...) {
        ::_exit(1);
    }
    ::_exit(0);
}

/// Waits for the end of a child; the signal that ended it is counted from 1000.
int end_of(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// A process that has half written a file, and waits to be killed or to be told to commit.
class HalfWritten {
  public:
    explicit HalfWritten(const fs::path& target) {
        std::array<int, 2> ready{}, go{};
        if (::pipe(ready.data()) != 0 || ::pipe(go.data()) != 0) throw std::runtime_error("no pipe");
        child_ = start([&] {
            ::close(go[1]);
            AtomicFile file(target);
            file.write("half");
            char byte = 0;
            if (::write(ready[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1)
                throw std::runtime_error("the test has gone");
            file.commit();
        });
        ::close(ready[1]);
        ::close(go[0]);
        char byte = 0;
        if (::read(ready[0], &byte, 1) != 1) throw std::runtime_error("the child cannot write");
        ::close(ready[0]);
        go_ = go[1];
    }
    ~HalfWritten() {
        if (child_ > 0) kill();
        ::close(go_);
    }
    HalfWritten(const HalfWritten&) = delete;
    HalfWritten& operator=(const HalfWritten&) = delete;

    void kill() {
        ::kill(child_, SIGKILL);
        EXPECT_EQ(end_of(std::exchange(child_, 0)), 1000 + SIGKILL);
    }
    int commit() {
        const char byte = 0;
        EXPECT_EQ(::write(go_, &byte, 1), 1);
        return end_of(std::exchange(child_, 0));
    }

  private:
    pid_t child_ = 0;
    int go_ = -1;
};

/// The files in a folder whose names end in .partial.
std::vector<fs::path> partials(const ScratchFolder& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder.path()))
        if (entry.path().extension() == ".partial") found.push_back(entry.path());
    return found;
}

void write_once(const fs::path& target) {
    AtomicFile file(target);
    file.write("whole");
    file.commit();
}

/// As if nothing had been written to the file for so long.
void make_older(const fs::path& path, long hours) {
    const std::array<timespec, 2> times = {timespec{::time(nullptr) - 3600 * hours, 0},
                                           timespec{::time(nullptr) - 3600 * hours, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), 0);
}

constexpr const char* of_another_host = ".result.0badcafe-17-0.partial";

TEST(PartialFile, OfAKilledProcessIsRemovedByTheNextWriterOfTheTarget) {
    const ScratchFolder folder;
    HalfWritten(folder / "result").kill();
    ASSERT_EQ(partials(folder).size(), 1U);
    write_once(folder / "result");
    EXPECT_EQ(folder.entries(), 1);
    EXPECT_EQ(read_text(folder / "result"), "whole");
}

TEST(PartialFile, OfAnotherTargetIsLeftToItsOwnersAndToTheFolders) {
    const ScratchFolder folder;
    HalfWritten(folder / "result").kill();
    HalfWritten(folder / "result.more").kill();
    write_once(folder / "more");
    EXPECT_EQ(partials(folder).size(), 2U);
    remove_dead_partials(folder.path());
    EXPECT_EQ(partials(folder).size(), 0U);
    EXPECT_EQ(read_text(folder / "more"), "whole");
}

TEST(PartialFile, OfALivingProcessStays) {
    const ScratchFolder folder;
    HalfWritten other(folder / "result");
    write_once(folder / "result");
    remove_dead_partials(folder.path());
    ASSERT_EQ(partials(folder).size(), 1U);
    EXPECT_EQ(other.commit(), 0);
    EXPECT_EQ(read_text(folder / "result"), "half");
    EXPECT_EQ(folder.entries(), 1);
}

TEST(PartialFile, OfALivingProcessStaysThoughNothingIsWrittenForLong) {
    const ScratchFolder folder;
    HalfWritten other(folder / "result");
    ASSERT_EQ(partials(folder).size(), 1U);
    make_older(partials(folder).front(), 1000);
    remove_dead_partials(folder.path());
    EXPECT_EQ(other.commit(), 0);
    EXPECT_EQ(read_text(folder / "result"), "half");
}

TEST(PartialFile, OfAnotherHostStaysForADay) {
    const ScratchFolder folder;
    write_text(folder / of_another_host, "half");
    make_older(folder / of_another_host, 23);
    write_once(folder / "result");
    EXPECT_EQ(partials(folder).size(), 1U);
    make_older(folder / of_another_host, 25);
    write_once(folder / "result");
    EXPECT_EQ(partials(folder).size(), 0U);
}

TEST(PartialFile, OfAnotherHostStaysAsLongAsItIsLocked) {
    const ScratchFolder folder;
    write_text(folder / of_another_host, "half");
    make_older(folder / of_another_host, 1000);
    const int other = ::open((folder / of_another_host).c_str(), O_WRONLY);
    ASSERT_EQ(::flock(other, LOCK_EX), 0);
    write_once(folder / "result");
    EXPECT_EQ(partials(folder).size(), 1U);
    ::close(other);
    write_once(folder / "result");
    EXPECT_EQ(partials(folder).size(), 0U);
}

TEST(PartialFile, NothingElseIsRemoved) {
    const ScratchFolder folder;
    const std::vector<std::string> names = {"result.partial",
                                            ".result.partial",
                                            ".result.24251.0.partial",
                                            ".result.0badcafe-17-0",
                                            ".result.0badcafe-17.partial",
                                            ".result.0badcafe-17-x.partial",
                                            "result.0badcafe-1-0.partial",
                                            ".0badcafe-1-0.partial",
                                            ".result.badcafe-1-0.partial"};
    for (const std::string& name : names) {
        write_text(folder / name, "theirs");
        make_older(folder / name, 1000);
    }
    write_text(folder / "precious", "theirs");
    fs::create_symlink(folder / "precious", folder / of_another_host);
    make_older(folder / of_another_host, 1000);
    fs::create_directory(folder / ".result.0badcafe-18-0.partial");
    ASSERT_EQ(::mkfifo((folder / ".result.0badcafe-19-0.partial").c_str(), 0600), 0);
    const auto before = folder.entries();
    write_once(folder / "result");
    remove_dead_partials(folder.path());
    EXPECT_EQ(folder.entries(), before + 1);
    for (const std::string& name : names) EXPECT_EQ(read_text(folder / name), "theirs") << name;
    EXPECT_EQ(read_text(folder / "precious"), "theirs");
}

TEST(PartialFile, ManyWritersOfOneTargetNeverTakeEachOthersFiles) {
    const ScratchFolder folder;
    std::vector<pid_t> children;
    for (int child = 0; child < 6; ++child)
        children.push_back(start([&] {
            for (int i = 0; i < 200; ++i) write_once(folder / "result");
        }));
    for (const pid_t child : children) EXPECT_EQ(end_of(child), 0);
    EXPECT_EQ(folder.entries(), 1);
}

}  // namespace
}  // namespace lockstep
