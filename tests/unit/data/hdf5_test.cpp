// Files written through HDF5's own interface, whose conversions also say what is to be read.
#include <lockstep/base/error.hpp>
#include <lockstep/data/array.hpp>
#include <lockstep/data/array_writer.hpp>

#include <gtest/gtest.h>
#include <hdf5.h>
#include <unistd.h>

#include <thread>

#include "npy_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::expect_error;

struct Layout {
    std::string name;
    std::vector<hsize_t> chunk = {};  // none: contiguous
    unsigned gzip = 0;
    bool shuffle = false;
    bool compact = false;
    H5Z_filter_t filter = 0;
};
const std::vector<Layout> layouts = {{.name = "contiguous"},
                                     {.name = "compact", .compact = true},
                                     {.name = "chunked", .chunk = {2, 3, 3}},
                                     {.name = "gzip", .chunk = {7, 3, 4}, .gzip = 4, .shuffle = true}};

class Hdf5Files : public testing::Test {
  protected:
    std::string path() const { return (folder_ / "x.h5").string(); }
    std::string message(const std::string& text) {
        return test::message_of<FileError>([&] { open_array(text); });
    }

    hid_t create() { return H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT); }

    /// A data set of the file's type, given as values of the memory's.
    static void add(hid_t file, const std::string& name, hid_t file_type, hid_t memory_type,
                    const void* values, const std::vector<hsize_t>& extents, const Layout& layout = {}) {
        const hid_t space = extents.empty()
                                ? H5Screate(H5S_SCALAR)
                                : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
        const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
        const hid_t links = H5Pcreate(H5P_LINK_CREATE);
        H5Pset_create_intermediate_group(links, 1);
        if (layout.compact) H5Pset_layout(creation, H5D_COMPACT);
        if (!layout.chunk.empty())
            H5Pset_chunk(creation, static_cast<int>(layout.chunk.size()), layout.chunk.data());
        if (layout.shuffle) H5Pset_shuffle(creation);
        if (layout.filter > 0) H5Pset_filter(creation, layout.filter, 0, 0, nullptr);
        if (layout.gzip > 0) H5Pset_deflate(creation, layout.gzip);
        const hid_t dataset = H5Dcreate2(file, name.c_str(), file_type, space, links, creation, H5P_DEFAULT);
        ASSERT_GE(dataset, 0);
        if (values != nullptr) {
            ASSERT_GE(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
        }
        H5Dclose(dataset);
        H5Pclose(links);
        H5Pclose(creation);
        H5Sclose(space);
    }
    void write_floats(const Layout& layout, const std::vector<float>& values,
                      const std::vector<hsize_t>& extents) {
        const hid_t file = create();
        add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), extents, layout);
        H5Fclose(file);
    }

    test::ScratchFolder folder_;
};

template <class T>
struct Hdf5Types {
    hid_t little, big, memory;
};
template <class T>
Hdf5Types<T> types_of();
#define LOCKSTEP_HDF5_TYPES(type, family, name, native)                                     \
    template <>                                                                             \
    Hdf5Types<type> types_of<type>() {                                                      \
        return {H5T_##family##_##name##LE, H5T_##family##_##name##BE, H5T_NATIVE_##native}; \
    }
LOCKSTEP_HDF5_TYPES(std::uint8_t, STD, U8, UINT8)
LOCKSTEP_HDF5_TYPES(std::int8_t, STD, I8, INT8)
LOCKSTEP_HDF5_TYPES(std::uint16_t, STD, U16, UINT16)
LOCKSTEP_HDF5_TYPES(std::int16_t, STD, I16, INT16)
LOCKSTEP_HDF5_TYPES(std::uint32_t, STD, U32, UINT32)
LOCKSTEP_HDF5_TYPES(std::int32_t, STD, I32, INT32)
LOCKSTEP_HDF5_TYPES(std::uint64_t, STD, U64, UINT64)
LOCKSTEP_HDF5_TYPES(std::int64_t, STD, I64, INT64)
LOCKSTEP_HDF5_TYPES(float, IEEE, F32, FLOAT)
LOCKSTEP_HDF5_TYPES(double, IEEE, F64, DOUBLE)
#undef LOCKSTEP_HDF5_TYPES

template <class T>
class Hdf5OfType : public Hdf5Files {};
using Types = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                             std::int32_t, std::uint64_t, std::int64_t, float, double>;
struct TypeNames {
    template <class T>
    static std::string GetName(int) {
        return std::string(to_string(test::NpyType<T>::element));
    }
};
TYPED_TEST_SUITE(Hdf5OfType, Types, TypeNames);

TYPED_TEST(Hdf5OfType, IsReadFromEveryLayoutInEveryOrderOfBytes) {
    const std::vector<TypeParam> values = test::sample_values<TypeParam>(7 * 3 * 4);
    const Hdf5Types<TypeParam> types = types_of<TypeParam>();
    for (const hid_t file_type : {types.little, types.big})
        for (const Layout& layout : layouts) {
            SCOPED_TRACE(layout.name + (file_type == types.big ? ", big endian" : ", little endian"));
            const hid_t file = this->create();
            this->add(file, "/group/x", file_type, types.memory, values.data(), {7, 3, 4}, layout);
            H5Fclose(file);
            const auto array = open_array(this->path() + ":/group/x");
            EXPECT_EQ(array->element(), test::NpyType<TypeParam>::element);
            EXPECT_EQ(array->extents(), (std::vector<Index>{7, 3, 4}));
            test::expect_values(*array, values);
            EXPECT_NO_THROW(array->verify());
        }
}

using Hdf5 = Hdf5Files;

TEST_F(Hdf5, BoolAsH5pyStoresItIsRead) {
    const std::vector<test::Flag> values = test::sample_values<test::Flag>(7 * 3 * 4);
    const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    for (const auto& [name, value] : {std::pair{"FALSE", 0}, std::pair{"TRUE", 1}}) {
        const auto byte = static_cast<signed char>(value);
        H5Tenum_insert(type, name, &byte);
    }
    for (const Layout& layout : layouts) {
        const hid_t file = create();
        add(file, "/x", type, type, values.data(), {7, 3, 4}, layout);
        H5Fclose(file);
        const auto array = open_array(path() + ":/x");
        EXPECT_EQ(array->element(), ElementType::boolean);
        test::expect_values(*array, values);
    }
    H5Tclose(type);
}

TEST_F(Hdf5, ValuesThatWereNeverWrittenAreTheFillValue) {
    const hid_t file = create();
    add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {3, 2});
    H5Fclose(file);
    test::expect_values(*open_array(path() + ":/x"), std::vector<float>(6, 0.f));
}

TEST_F(Hdf5, RowsAndChunksThatNoSuchFileCanHoldAreRefusedBeforeMemoryIsSetAside) {
    const hid_t file = create();
    const hsize_t huge = hsize_t{1} << 40;
    add(file, "/row", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {3, huge},
        {.name = "chunked", .chunk = {1, 64}});
    add(file, "/chunk", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {1 << 20, 2},
        {.name = "chunked", .chunk = {1 << 20, 2}});
    add(file, "/large", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {1 << 27, 2},
        {.name = "chunked", .chunk = {1 << 27, 2}});
    H5Fclose(file);
    expect_error<FileError>([&] { open_array(path() + ":/row"); },
                            {"a row of it would take 4398046511104 bytes"});
    expect_error<FileError>([&] { open_array(path() + ":/large"); },
                            {"a chunk of it would take 1073741824 bytes"});
    EXPECT_EQ(message(path() + ":/chunk"), "") << "so much was never written";
}

TEST_F(Hdf5, FilesWithABlockOfTheUsersOwnAreRead) {
    const std::vector<float> values = test::sample_values<float>(84);
    for (const Layout& layout : layouts) {
        const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
        H5Pset_userblock(creation, 1024);
        const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT);
        H5Pclose(creation);
        add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), {7, 3, 4}, layout);
        H5Fclose(file);
        SCOPED_TRACE(layout.name);
        test::expect_values(*open_array(path() + ":/x"), values);
    }
}

TEST_F(Hdf5, ThreadsReadAtTheSameTime) {
    const std::vector<float> values = test::sample_values<float>(84);
    for (const Layout& layout : layouts) {
        write_floats(layout, values, {7, 3, 4});
        const auto array = open_array(path() + ":/x");
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                for (int pass = 0; pass < 20; ++pass) test::expect_values(*array, values);
            });
        for (std::thread& thread : threads) thread.join();
    }
}

TEST_F(Hdf5, ADataSetThatIsNotThereGetsAListOfThoseThatAre) {
    const std::vector<float> values(24);
    const hid_t file = create();
    add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), {8, 3});
    add(file, "/group/y", H5T_STD_I64BE, H5T_NATIVE_FLOAT, values.data(), {8});
    add(file, "/one", H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, values.data(), {});
    H5Lcreate_hard(file, "/", file, "/group/round", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/nowhere", file, "/dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    for (const std::string missing : {":/z", ":/group", "", ":/dangling"}) {
        const std::string text = message(path() + missing);
        SCOPED_TRACE(text);
        for (const std::string part : {"/x (8x3 of float32)", "/group/y (8 of int64)",
                                       "/one (a single value of float64)", "x.h5:/NAME"})
            EXPECT_NE(text.find(part), std::string::npos) << part;
    }
    EXPECT_NE(message(path() + ":/z").find("there is no data set /z"), std::string::npos);
    EXPECT_NE(message(path() + ":/group").find("/group is no data set"), std::string::npos);
    EXPECT_NE(message(path() + ":/one").find("a single value"), std::string::npos);
}

TEST_F(Hdf5, AGroupWhoseIndexIsDamagedIsAnError) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);  // groups with an index, as h5py makes them
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const std::vector<float> values(3);
    for (int i = 0; i < 12; ++i)
        add(file, "/" + std::to_string(i), H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), {3});
    H5Fclose(file);
    H5Pclose(access);
    const std::string whole = test::read_text(path());
    for (const char* part : {"FRHP", "FHDB", "BTLF"}) {  // what the index is made of
        const std::size_t at = whole.find(part);
        ASSERT_NE(at, std::string::npos);
        test::write_text(path(), std::string(whole).replace(at, 8, "damaged!"));
        EXPECT_NE(message(path() + ":/nowhere").find("there is no data set /nowhere"), std::string::npos)
            << part;
    }
}

TEST_F(Hdf5, AnEmptyFileHoldsNoDataSet) {
    H5Fclose(create());
    EXPECT_NE(message(path() + ":/x").find("it holds no data set"), std::string::npos);
}

TEST_F(Hdf5, TypesThatAreNoRealNumbersAreRefusedByName) {
    const hid_t text = H5Tcopy(H5T_C_S1), half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_size(text, 8);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    const hid_t complex = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(complex, "r", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(complex, "i", 4, H5T_NATIVE_FLOAT);
    const std::vector<std::pair<hid_t, std::vector<std::string>>> cases = {
        {text, {"texts"}}, {half, {"float16", ".astype('float32')"}}, {complex, {"complex"}}};
    for (const auto& [type, parts] : cases) {
        const hid_t file = create();
        add(file, "/x", type, type, nullptr, {4});
        H5Fclose(file);
        H5Tclose(type);
        expect_error<FileError>([&] { open_array(path() + ":/x"); }, {"x.h5: /x holds"});
        expect_error<FileError>([&] { open_array(path() + ":/x"); }, parts);
    }
}

TEST_F(Hdf5, ArraysWithoutRowsAreRefused) {
    const hid_t file = create();
    add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {0, 3});
    add(file, "/chunked", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {0, 3}, {.name = "", .chunk = {1, 3}});
    H5Fclose(file);
    for (const std::string name : {":/x", ":/chunked"})
        EXPECT_NE(message(path() + name).find("no values"), std::string::npos);
}

TEST_F(Hdf5, FilesThatAreCutOrDamagedAreErrors) {
    const std::vector<float> values = test::sample_values<float>(84 * 100);
    for (const Layout& layout : layouts) {
        if (layout.compact) continue;  // at most 64 KB
        write_floats(layout, values, {700, 3, 4});
        SCOPED_TRACE(layout.name);
        const std::string whole = test::read_text(path());
        for (const std::size_t size :
             {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{8}}) {
            test::write_text(path(), whole.substr(0, size));
            const std::string text = message(path() + ":/x");
            EXPECT_NE(text.find("x.h5: cannot be opened as HDF5"), std::string::npos) << text;
            EXPECT_NE(text.find("HDF5 says: "), std::string::npos) << text;
        }
    }
}

TEST_F(Hdf5, ChunksThatAreDamagedAreErrors) {
    const std::vector<float> values = test::sample_values<float>(84 * 100);
    write_floats(layouts.back(), values, {700, 3, 4});
    std::string bytes = test::read_text(path());
    for (std::size_t i = bytes.size() / 2; i < bytes.size(); ++i) bytes[i] = '\x55';
    test::write_text(path(), bytes);
    const auto array = open_array(path() + ":/x");
    std::vector<float> row(12);
    expect_error<FileError>(
        [&] {
            for (Index i = 0; i < array->rows(); ++i) array->read_row(i, row.data());
        },
        {"x.h5: row ", "damaged", "HDF5 says: "});
}

TEST_F(Hdf5, RowsOfMoreChunksThanTheFileCanHoldAreRefused) {
    const hid_t file = create();
    add(file, "/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {4, 400'000},
        {.name = "thin", .chunk = {2, 3}});
    add(file, "/y", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, {4, 12'000},
        {.name = "thin", .chunk = {2, 3}});
    H5Fclose(file);
    const std::string text = message(path() + ":/x");
    EXPECT_NE(text.find("/x: a row of it would lie in 133334 chunks"), std::string::npos) << text;
    EXPECT_EQ(open_array(path() + ":/y")->row_size(), 12'000);  // never written, but not beyond reason
}

TEST_F(Hdf5, CompactValuesThatAreFewerThanTheDataSetHasAreAnError) {
    write_floats({.name = "compact", .compact = true}, std::vector<float>(12, 1.0F), {4, 3});
    std::string bytes = test::read_text(path());
    const std::string rows("\4\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16);
    std::size_t found = 0;
    for (std::size_t at = 0; (at = bytes.find(rows, at)) != std::string::npos; ++found) bytes[at] = 5;
    ASSERT_GT(found, 0u);
    test::write_text(path(), bytes);
    const std::string text = message(path() + ":/x");
    EXPECT_NE(text.find("/x: of its values the file holds only 48 bytes; it is damaged"), std::string::npos)
        << text;
}

TEST_F(Hdf5, ACutWhileItIsReadIsAnError) {
    const std::vector<float> values(1000 * 1024, 1.f);
    for (const Layout& layout : {Layout{.name = "contiguous"}, Layout{.name = "chunked", .chunk = {1, 1024}},
                                 Layout{.name = "gzip", .chunk = {1, 1024}, .gzip = 1}}) {
        SCOPED_TRACE(layout.name);
        write_floats(layout, values, {1000, 1024});
        const auto array = open_array(path() + ":/x");
        std::vector<float> row(1024);
        array->read_row(0, row.data());
        ASSERT_EQ(::truncate(path().c_str(), 8192), 0);
        expect_error<FileError>([&] { array->read_row(999, row.data()); }, {"was cut while it was read"});
        expect_error<FileError>([&] { array->verify(); }, {"was cut while it was read"});
    }
}

/// A filter that changes nothing and counts how many chunks are unpacked.
constexpr H5Z_filter_t counting_filter = 300;
int unpacked = 0;
std::size_t count_unpacking(unsigned flags, std::size_t, const unsigned*, std::size_t bytes, std::size_t*,
                            void**) {
    if ((flags & H5Z_FLAG_REVERSE) != 0) ++unpacked;
    return bytes;
}

TEST_F(Hdf5, ChunksThatFitIntoTheCacheAreUnpackedOnceInAnyOrderOfRows) {
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, counting_filter, 1,       1,
                                 "counting",       nullptr,         nullptr, count_unpacking};
    ASSERT_GE(H5Zregister(&filter), 0);
    std::vector<float> values(1000 * 1024);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    write_floats({.name = "counted", .chunk = {20, 512}, .filter = counting_filter}, values, {1000, 1024});
    const auto array = open_array(path() + ":/x");
    unpacked = 0;
    std::vector<float> row(1024);
    for (Index i = 0; i < 3000; ++i) {
        const Index chosen = i * 617 % 1000;
        array->read_row(chosen, row.data());
        ASSERT_EQ(row.back(), static_cast<float>(chosen * 1024 + 1023));
    }
    EXPECT_EQ(unpacked, 100);
}

TEST_F(Hdf5, NothingIsPrintedAndThePrinterOfTheProgramStays) {
    const auto mine = [](hid_t, void*) -> herr_t { return 0; };
    H5Eset_auto2(H5E_DEFAULT, mine, nullptr);
    write_floats({}, std::vector<float>(6), {3, 2});
    testing::internal::CaptureStderr();
    EXPECT_NE(message(path() + ":/z"), "");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    H5E_auto2_t now = nullptr;
    void* data = nullptr;
    H5Eget_auto2(H5E_DEFAULT, &now, &data);
    EXPECT_EQ(now, static_cast<H5E_auto2_t>(mine));
}

TEST_F(Hdf5, NothingStaysOpen) {
    write_floats({.name = "gzip", .chunk = {3, 2}, .gzip = 1}, std::vector<float>(6), {3, 2});
    {
        const auto array = open_array(path() + ":/x");
        EXPECT_NE(message(path() + ":/z"), "");
    }
    EXPECT_EQ(H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL), 0);
}

template <class T>
void expect_round_trip(const std::filesystem::path& path) {
    std::vector<T> values(60);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i);
    Hdf5Writer file(path, "/group/x", test::NpyType<T>::element, {5, 3, 4});
    file.append(std::span(values).first(24));
    file.append(std::span(values).subspan(24));
    file.commit();
    test::expect_values(*open_array(path.string() + ":/group/x"), values);
}

TEST_F(Hdf5, WritesWhatIsReadAgain) {
    expect_round_trip<float>(path());
    expect_round_trip<double>(path());
    expect_round_trip<std::int64_t>(path());
    EXPECT_EQ(folder_.entries(), 1);
}

TEST_F(Hdf5, WritesTheSameBytesAtAnyTime) {
    expect_round_trip<float>(path());
    const std::string before = test::read_text(path());
    ::sleep(2);  // times in HDF5 files are counted in seconds
    expect_round_trip<float>(path());
    EXPECT_EQ(test::read_text(path()), before);
}

TEST_F(Hdf5, LeavesNothingBehindWithoutACommit) {
    test::write_text(path(), "old");
    const std::vector<float> values(6);
    {
        Hdf5Writer file(path(), "/x", ElementType::f32, {10, 3});
        file.append(values);
        expect_error<UsageError>([&] { file.commit(); }, {"2 of its 10 rows"});
        expect_error<UsageError>([&] { file.append(std::vector<double>(3)); }, {"float32", "float64"});
        expect_error<UsageError>([&] { file.append(std::vector<float>(4)); }, {"4 values", "rows of 3"});
        expect_error<UsageError>([&] { file.append(std::vector<float>(27)); }, {"rows 2 to 10"});
    }
    EXPECT_EQ(test::read_text(path()), "old");
    expect_error<FileError>([&] { Hdf5Writer(path(), "", ElementType::f32, {1}); }, {"x.h5", "HDF5 says: "});
    EXPECT_EQ(folder_.entries(), 1);
}

}  // namespace
}  // namespace lockstep
