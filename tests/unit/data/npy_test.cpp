#include <lockstep/base/error.hpp>
#include <lockstep/data/array.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "npy_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::Bytes;
using test::expect_error;
using test::npy_file;
using test::npy_text;

class NpyFiles : public testing::Test {
  protected:
    std::unique_ptr<Array> open(const Bytes& bytes) {
        test::write_plain(path(), bytes);
        return open_array(path());
    }
    std::string path() const { return (folder_ / "train.npy").string(); }

    test::ScratchFolder folder_;
};

template <class T>
class NpyOfType : public NpyFiles {};
using Types = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                             std::int32_t, std::uint64_t, std::int64_t, float, double, test::Flag>;
struct TypeNames {
    template <class T>
    static std::string GetName(int) {
        return std::string(to_string(test::NpyType<T>::element));
    }
};
TYPED_TEST_SUITE(NpyOfType, Types, TypeNames);

TYPED_TEST(NpyOfType, IsReadInEveryOrderOfBytesAndDimensions) {
    const std::vector<TypeParam> values = test::sample_values<TypeParam>(5 * 3 * 4);
    for (const bool big_endian : {false, true})
        for (const bool fortran_order : {false, true}) {
            SCOPED_TRACE(testing::Message() << "big endian " << big_endian << ", Fortran " << fortran_order);
            const auto array = this->open(test::npy_array(values, 5, 3, 4, big_endian, fortran_order));
            EXPECT_EQ(array->element(), test::NpyType<TypeParam>::element);
            EXPECT_EQ(array->extents(), (std::vector<Index>{5, 3, 4}));
            test::expect_values(*array, values);
        }
}

TYPED_TEST(NpyOfType, IsExactInFloatIfEveryOneOfItsValuesIs) {
    const auto array = this->open(test::npy_array(test::sample_values<TypeParam>(1), 1, 1, 1, false, false));
    const bool narrow = std::is_same_v<TypeParam, float> || sizeof(TypeParam) < 4;
    EXPECT_EQ(array->exact_in_float(), narrow);
}

using Npy = NpyFiles;

/// 2×2 of float32: 1, 2, 3, 4.
Bytes four_values() {
    Bytes bytes;
    for (const float value : {1.f, 2.f, 3.f, 4.f}) test::append_value(bytes, value, false);
    return bytes;
}

TEST_F(Npy, EveryVersionIsRead) {
    for (const int version : {1, 2, 3}) {
        const auto array = open(npy_file(version, npy_text("<f4", false, "(2, 2)"), four_values()));
        test::expect_values(*array, std::vector<float>{1, 2, 3, 4});
    }
}

TEST_F(Npy, EveryWayToWriteTheHeaderIsRead) {
    for (
        const std::string text : {
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}",
            "{'descr':'<f4','fortran_order':False,'shape':(2,2),}",
            "{\"shape\": (2, 2), \"fortran_order\": False, \"descr\": \"<f4\"}\n",
            " {'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L), }      \n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2,)}"  // any length: values may lie unaligned
        }) {
        const auto array = open(npy_file(1, text, four_values()));
        test::expect_values(*array, std::vector<float>{1, 2, 3, 4});
    }
}

TEST_F(Npy, AnArrayOfOneDimensionHasRowsOfOneValue) {
    for (const bool fortran_order : {false, true}) {
        const auto array = open(npy_file(1, npy_text("<f4", fortran_order, "(4,)"), four_values()));
        EXPECT_EQ(array->rows(), 4);
        EXPECT_EQ(array->row_size(), 1);
        test::expect_values(*array, std::vector<float>{1, 2, 3, 4});
    }
}

TEST_F(Npy, SaysWhatItIs) {
    const auto array = open(npy_file(1, npy_text("<f4", false, "(2, 2)"), four_values()));
    EXPECT_EQ(array->describe(), path() + ": 2x2 of float32");
}

TEST_F(Npy, RowsThatAreNotThereAreAnError) {
    const auto array = open(npy_file(1, npy_text("<f4", false, "(2, 2)"), four_values()));
    float row[2];
    for (const Index missing : {Index{-1}, Index{2}})
        expect_error<UsageError>([&] { array->read_row(missing, row); },
                                 {"no row " + std::to_string(missing), "0 to 1"});
}

TEST_F(Npy, PrefetchingAnyRowsDoesNoHarm) {
    for (const bool fortran_order : {false, true}) {
        const auto array = open(npy_file(1, npy_text("<f4", fortran_order, "(2, 2)"), four_values()));
        for (const Index first : {-1, 0, 1, 2, 100})
            for (const Index count : {-1, 0, 1, 2, 100}) array->prefetch(first, count);
        float row[2];
        EXPECT_NO_THROW(array->read_row(1, row));
    }
}

TEST_F(Npy, ThreadsReadAtTheSameTime) {
    std::vector<std::int32_t> values(1000 * 20);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i);
    const auto array = open(test::npy_array(values, 1000, 4, 5, true, true));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { test::expect_values(*array, values); });
    for (std::thread& thread : threads) thread.join();
}

/// Memory of this process alone, in KB.
long own_memory() {
    std::ifstream status("/proc/self/status");
    std::string word;
    long kilobytes = 0;
    while (status >> word && word != "RssAnon:") continue;
    status >> kilobytes;
    return kilobytes;
}

TEST_F(Npy, MemoryDoesNotGrowWithTheFile) {
    // A sparse file of 1 TB, all zeros.
    const std::string text = npy_text("<f4", false, "(250000000, 1000)");
    test::write_plain(path(), npy_file(1, text, {}));
    std::filesystem::resize_file(path(), 10 + text.size() + std::uintmax_t{1'000'000'000'000});
    const long before = own_memory();
    const auto array = open_array(path());
    std::vector<float> row(1000, 1.f);
    for (Index i = 0; i < 2000; ++i) array->read_row(i * 124'999 + 1, row.data());
    array->read_row(249'999'999, row.data());
    EXPECT_EQ(row, std::vector<float>(1000, 0.f));
    EXPECT_LT(own_memory() - before, 2000);
}

}  // namespace
}  // namespace lockstep
