// What happens to a file while it is read must end in an error, never in a signal and never in wrong values.
#include <lockstep/base/error.hpp>
#include <lockstep/data/array.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>

#include "npy_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::expect_error;

constexpr Index rows = 4096, row_size = 1024;  // a row is one page, a page of header before them

/// A file whose values are 1 + their row, and the array that was opened on it.
class MappedArrays : public testing::Test {
  protected:
    void SetUp() override {
        test::Bytes bytes;
        std::string text = test::npy_text("<f4", false, "(4096, 1024)");
        text.insert(text.size() - 1, page - 10 - text.size(), ' ');
        for (Index row = 0; row < rows; ++row)
            for (Index i = 0; i < row_size; ++i)
                test::append_value(bytes, static_cast<float>(1 + row), false);
        test::write_plain(path(), test::npy_file(1, text, bytes));
        array_ = open_array(path());
    }
    std::string path() const { return (folder_ / "x.npy").string(); }
    /// Cuts the file after so many rows.
    void keep_rows(Index count) { ASSERT_EQ(::truncate(path().c_str(), (1 + count) * page), 0); }
    bool reads_right(Index row) const {
        std::vector<float> values(row_size);
        array_->read_row(row, values.data());
        return values == std::vector<float>(row_size, static_cast<float>(1 + row));
    }

    static constexpr std::size_t page = 4096;
    test::ScratchFolder folder_;
    std::unique_ptr<Array> array_;
};

TEST_F(MappedArrays, RowsThatWereCutOffAreAnError) {
    keep_rows(10);
    EXPECT_TRUE(reads_right(9));
    expect_error<FileError>([&] { reads_right(10); }, {path(), "was cut while it was read", "held 16781312"});
    expect_error<FileError>([&] { reads_right(rows - 1); }, {"was cut while it was read"});
}

TEST_F(MappedArrays, NothingIsReadFromAFileThatWasFoundCut) {
    keep_rows(10);
    EXPECT_THROW(reads_right(10), FileError);
    EXPECT_THROW(reads_right(9), FileError);
    std::filesystem::resize_file(path(), (1 + rows) * page);  // its old size again, but not its values
    EXPECT_THROW(reads_right(10), FileError);
}

TEST_F(MappedArrays, OtherArraysAreUntouchedByACut) {
    const std::string other = (folder_ / "other.npy").string();
    std::filesystem::copy_file(path(), other);
    const auto whole = open_array(other);
    keep_rows(0);
    EXPECT_THROW(reads_right(0), FileError);
    std::vector<float> values(row_size);
    whole->read_row(7, values.data());
    EXPECT_EQ(values, std::vector<float>(row_size, 8.f));
    EXPECT_NO_THROW(whole->verify());
}

TEST_F(MappedArrays, ACutUnderManyReadersGivesRightValuesOrErrors) {
    std::atomic<int> wrong = 0, refused = 0, started = 0;
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 3; ++reader)
        readers.emplace_back([&, reader] {
            for (int i = 0; i < 30000 && refused < 3; ++i) {
                ++started;
                try {
                    if (!reads_right((i * 7 + reader) * 31 % rows)) ++wrong;
                } catch (const FileError&) {
                    ++refused;
                }
            }
        });
    while (started < 100) std::this_thread::yield();
    keep_rows(100);
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_GE(refused, 1);
}

TEST_F(MappedArrays, AFileThatStaysPassesTheCheck) {
    EXPECT_NO_THROW(array_->verify());
    EXPECT_TRUE(reads_right(17));
    EXPECT_NO_THROW(array_->verify());
}

TEST_F(MappedArrays, EveryChangeFailsTheCheck) {
    ASSERT_EQ(::truncate(path().c_str(), (1 + rows) * page - 1), 0);  // no page is missing
    expect_error<FileError>([&] { array_->verify(); }, {path(), "was cut while it was read"});
    std::filesystem::resize_file(path(), (1 + rows) * page + 1);
    expect_error<FileError>([&] { array_->verify(); }, {path(), "has grown while it was read"});
    std::filesystem::resize_file(path(), (1 + rows) * page);
    const timespec times[2] = {{0, UTIME_OMIT}, {1, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path().c_str(), times, 0), 0);
    expect_error<FileError>([&] { array_->verify(); }, {path(), "was changed while it was read"});
}

TEST_F(MappedArrays, AFileThatTakesItsNameDoesNotDisturb) {
    const std::string other = (folder_ / "other.npy").string();
    test::write_plain(other, {1, 2, 3});
    std::filesystem::rename(other, path());
    EXPECT_TRUE(reads_right(rows - 1));
    EXPECT_NO_THROW(array_->verify());
}

/// Faults that are not ours, each in a process of its own, which has opened no array before.
class ForeignFaults : public testing::Test {
  protected:
    void SetUp() override {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        // Such a process ends before it can remove its folder, which therefore lies in this one's.
        ::setenv("TMPDIR", folder_.path().c_str(), 1);
    }
    void TearDown() override {
        if (before_)
            ::setenv("TMPDIR", before_->c_str(), 1);
        else
            ::unsetenv("TMPDIR");
    }

    void open_an_array() {
        const std::string path = (folder_ / "x.npy").string();
        test::write_plain(path, test::npy_array<float>({1}, 1, 1, 1, false, false));
        array_ = open_array(path);
    }
    /// Touches a page that its file does not have.
    void fault() {
        const std::string path = (folder_ / "foreign").string();
        test::write_plain(path, {1});
        const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        auto* const bytes =
            static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, descriptor, 0));
        if (bytes == MAP_FAILED || ::ftruncate(descriptor, 0) != 0) ::_exit(1);
        foreign_page = bytes;
        [[maybe_unused]] const char byte = bytes[0];
    }

    static inline std::atomic<volatile char*> foreign_page = nullptr;
    const std::optional<std::string> before_ =
        std::getenv("TMPDIR") ? std::optional(std::string(std::getenv("TMPDIR"))) : std::nullopt;
    test::ScratchFolder folder_;
    std::unique_ptr<Array> array_;
};

TEST_F(ForeignFaults, GoToTheHandlerThatWasThereBefore) {
    const auto handler = [](int, siginfo_t* info, void*) { ::_exit(info->si_addr == foreign_page ? 42 : 1); };
    EXPECT_EXIT(
        {
            struct sigaction action {};
            action.sa_sigaction = handler;
            action.sa_flags = SA_SIGINFO;
            ::sigaction(SIGBUS, &action, nullptr);
            open_an_array();
            fault();
        },
        testing::ExitedWithCode(42), "");
}

TEST_F(ForeignFaults, GoToAPlainHandlerAsWell) {
    EXPECT_EXIT(
        {
            std::signal(SIGBUS, [](int signal) { ::_exit(signal == SIGBUS ? 43 : 1); });
            open_an_array();
            fault();
        },
        testing::ExitedWithCode(43), "");
}

TEST_F(ForeignFaults, EndTheProcessIfThereWasNoHandler) {
    for (auto* const before : {SIG_DFL, SIG_IGN})
        EXPECT_EXIT(
            {
                std::signal(SIGBUS, before);
                open_an_array();
                fault();
            },
            testing::KilledBySignal(SIGBUS), "");
}

TEST_F(ForeignFaults, SignalsThatAreSentDoWhatTheyDidBefore) {
    EXPECT_EXIT(
        {
            std::signal(SIGBUS, SIG_DFL);
            open_an_array();
            std::raise(SIGBUS);
        },
        testing::KilledBySignal(SIGBUS), "");
    EXPECT_EXIT(
        {
            std::signal(SIGBUS, SIG_IGN);
            open_an_array();
            std::raise(SIGBUS);
            ::_exit(44);
        },
        testing::ExitedWithCode(44), "");
}

}  // namespace
}  // namespace lockstep
