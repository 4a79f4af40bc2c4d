#include <lockstep/base/error.hpp>
#include <lockstep/data/array_writer.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <numeric>

#include "npy_files.hpp"
#include "support/file_size_limit.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::expect_error;
using test::ScratchFolder;

template <class T>
std::vector<T> counting(std::size_t count) {
    std::vector<T> values(count);
    std::iota(values.begin(), values.end(), T{1});
    return values;
}

template <class T>
void write_whole(const std::filesystem::path& path, const std::vector<T>& values,
                 const std::vector<Index>& extents) {
    NpyWriter file(path, test::NpyType<T>::element, extents);
    NpyRows rows(file.partial());
    rows.write(0, std::span(values));
    rows.flush();
    file.commit();
}

template <class T>
void expect_round_trip() {
    const ScratchFolder folder;
    const std::vector<T> values = counting<T>(60);
    write_whole(folder / "x.npy", values, {5, 3, 4});
    const auto array = open_array((folder / "x.npy").string());
    EXPECT_EQ(array->element(), test::NpyType<T>::element);
    EXPECT_EQ(array->extents(), (std::vector<Index>{5, 3, 4}));
    test::expect_values(*array, values);
}

TEST(NpyWriter, WritesWhatIsReadAgain) {
    expect_round_trip<float>();
    expect_round_trip<double>();
    expect_round_trip<std::int64_t>();
}

TEST(NpyWriter, WritesTheBytesThatNumPyWould) {
    const ScratchFolder folder;
    write_whole<float>(folder / "x.npy", {1, 2, 3, 4, 5, 6}, {3, 2});
    std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
    text.resize(117, ' ');
    test::Bytes values;
    for (const float value : {1.f, 2.f, 3.f, 4.f, 5.f, 6.f}) test::append_value(values, value, false);
    EXPECT_EQ(test::read_plain(folder / "x.npy"), test::npy_file(1, text + '\n', values));
}

TEST(NpyWriter, ProcessesShareTheRows) {
    const ScratchFolder folder;
    const std::vector<float> values = counting<float>(100 * 7);
    NpyWriter file(folder / "x.npy", ElementType::f32, {100, 7});
    for (Index first : {75, 0, 25, 50}) {
        const pid_t child = ::fork();
        if (child == 0) {
            NpyRows rows(file.partial());
            rows.write(first, std::span(values).subspan(static_cast<std::size_t>(first * 7), 25 * 7));
            rows.flush();
            ::_exit(0);
        }
        int status = -1;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_EQ(status, 0);
    }
    EXPECT_FALSE(std::filesystem::exists(folder / "x.npy"));
    file.commit();
    test::expect_values(*open_array((folder / "x.npy").string()), values);
    EXPECT_EQ(folder.entries(), 1);
}

TEST(NpyWriter, LeavesNothingBehindWithoutACommit) {
    const ScratchFolder folder;
    test::write_text(folder / "x.npy", "old");
    {
        NpyWriter file(folder / "x.npy", ElementType::f32, {1000});
        const std::vector<float> half = counting<float>(500);
        NpyRows(file.partial()).write(0, half);
    }
    EXPECT_EQ(test::read_text(folder / "x.npy"), "old");
    EXPECT_EQ(folder.entries(), 1);
}

TEST(NpyWriter, AFullDiskIsAnError) {
    const ScratchFolder folder;
    const test::FileSizeLimit limit(1000);
    expect_error<FileError>([&] { NpyWriter(folder / "x.npy", ElementType::f64, {1000}); },
                            {"x.npy", "cannot make room"});
    EXPECT_EQ(folder.entries(), 0);
}

TEST(NpyWriter, RowsThatDoNotFitAreRefused) {
    const ScratchFolder folder;
    NpyWriter file(folder / "x.npy", ElementType::f32, {10, 3});
    NpyRows rows(file.partial());
    const std::vector<float> values(7);
    const std::vector<double> wide(3);
    const auto some = [&](std::size_t count) { return std::span(values).first(count); };
    expect_error<UsageError>([&] { rows.write(0, std::span(wide)); }, {"float32", "float64"});
    expect_error<UsageError>([&] { rows.write(0, some(7)); }, {"7 values", "rows of 3"});
    expect_error<UsageError>([&] { rows.write(9, some(6)); }, {"rows 9 to 10", "10 rows"});
    expect_error<UsageError>([&] { rows.write(-1, some(3)); }, {"rows -1 to -1"});
    EXPECT_NO_THROW(rows.write(10, some(0)));
}

TEST(NpyWriter, ArraysThatCannotBeAreRefused) {
    const ScratchFolder folder;
    const auto make = [&](ElementType element, std::vector<Index> extents) {
        return [&folder, element, extents] { NpyWriter(folder / "x.npy", element, extents); };
    };
    expect_error<UsageError>(make(ElementType::u8, {3}), {"uint8", "float32, float64 or int64"});
    expect_error<UsageError>(make(ElementType::f32, {}), {"at least one extent"});
    expect_error<UsageError>(make(ElementType::f32, {3, 0}), {"3x0"});
    expect_error<UsageError>(make(ElementType::f32, {-1}), {"-1"});
    expect_error<UsageError>(make(ElementType::f32, {Index{1} << 40, Index{1} << 40}), {"no file"});
    EXPECT_EQ(folder.entries(), 0);
}

TEST(NpyWriter, RowsGoIntoItsOwnFileOnly) {
    const ScratchFolder folder;
    expect_error<FileError>([&] { NpyRows(folder / "none"); }, {"there is no such file"});
    test::write_text(folder / "other", "something else");
    expect_error<FileError>([&] { NpyRows(folder / "other"); }, {"does not begin as an .npy file"});
}

}  // namespace
}  // namespace lockstep
