#include <lockstep/base/error.hpp>
#include <lockstep/data/array.hpp>

#include <gtest/gtest.h>

#include "npy_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::Bytes;
using test::npy_file;
using test::npy_text;

class NpyMalformed : public testing::Test {
  protected:
    void expect_refusal(const Bytes& bytes, const std::vector<std::string>& parts) {
        test::write_plain(path(), bytes);
        test::expect_error<FileError>([&] { open_array(path()); }, parts);
        test::expect_error<FileError>([&] { open_array(path()); }, {path() + ": "});
    }
    /// Of a file with this header text and 16 bytes of values.
    void expect_text_refusal(const std::string& text, const std::vector<std::string>& parts) {
        SCOPED_TRACE(text);
        expect_refusal(npy_file(1, text, Bytes(16)), parts);
    }
    void expect_type_refusal(const std::string& descr, const std::vector<std::string>& parts) {
        expect_text_refusal(npy_text(descr, false, "(2, 2)"), parts);
    }
    void expect_shape_refusal(const std::string& shape, const std::vector<std::string>& parts) {
        expect_text_refusal(npy_text("<f4", false, shape), parts);
    }
    std::string path() const { return (folder_ / "x.npy").string(); }

    test::ScratchFolder folder_;
};

TEST_F(NpyMalformed, TypesThatAreNoRealNumbersAreRefusedByName) {
    expect_type_refusal("<c8", {"'<c8'", "complex", ".real and .imag"});
    expect_type_refusal(">c16", {"complex"});
    expect_type_refusal("|O", {"Python objects", ".astype('float32')"});
    expect_type_refusal("|S5", {"texts"});
    expect_type_refusal("<U3", {"texts"});
    expect_type_refusal("<f2", {"float16", ".astype('float32')"});
    expect_type_refusal("<f16", {"long double", ".astype('float64')"});
    expect_type_refusal("<M8[ns]", {"dates", ".astype('int64')"});
    expect_type_refusal("|V8", {"raw bytes"});
    expect_text_refusal("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (2,), }",
                        {"named fields", "each field"});
}

TEST_F(NpyMalformed, TypesThatDoNotExistAreDamage) {
    for (const std::string descr : {"", "<", "f4", "<f3", "<i16", "<u0", "!f4", "<f4x", "|f4", "<q8"})
        expect_type_refusal(descr, {"damaged"});
}

TEST_F(NpyMalformed, ValuesAreNeitherFewerNorMoreThanAnnounced) {
    const std::string text = npy_text("<f4", false, "(2, 2)");
    expect_refusal(npy_file(1, text, Bytes(15)), {"2x2 values of float32", "16 bytes", "15 bytes", "cut"});
    expect_refusal(npy_file(1, text, Bytes(0)), {"16 bytes", "0 bytes"});
    expect_refusal(npy_file(1, text, Bytes(17)), {"16 bytes", "17 bytes", "damaged"});
}

TEST_F(NpyMalformed, ShapesThatCannotBeAreRefused) {
    expect_shape_refusal("(-2, 2)", {"negative"});
    expect_shape_refusal("()", {"4 bytes"});
    expect_shape_refusal("(99999999999999999999,)", {"more values than any file"});
    expect_shape_refusal("(9223372036854775807,)", {"more than any file"});
    expect_shape_refusal("(4294967296, 4294967296)", {"more than any file"});
    expect_shape_refusal("(9223372036854775807, 9223372036854775807, 4)", {"more than any file"});
    expect_shape_refusal("(1000000000000,)", {"4000000000000 bytes", "16 bytes"});
    for (const std::string shape :
         {"(2 2)", "(4)", "(2, 2", "2, 2", "[2, 2]", "(2, 'x')", "(2.0, 2)", "(,)", "(+4,)"})
        expect_shape_refusal(shape, {"header is damaged"});
}

TEST_F(NpyMalformed, ArraysWithoutRowsOrValuesAreRefused) {
    const std::string scalar = npy_text("<f4", false, "()");
    expect_refusal(npy_file(1, scalar, Bytes(4)), {"a single value", "array of rows"});
    for (const std::string shape : {"(0,)", "(0, 3)", "(3, 0)"})
        expect_refusal(npy_file(1, npy_text("<f4", false, shape), {}), {"no values"});
}

TEST_F(NpyMalformed, GarbageInTheHeaderIsDamage) {
    const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    for (std::size_t length = 0; length < good.size(); ++length)
        expect_text_refusal(good.substr(0, length), {"header is damaged"});
    expect_text_refusal(good + "x", {"header is damaged"});
    expect_text_refusal(std::string(100, '\xff'), {"header is damaged"});
    expect_text_refusal("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 2), }", {"True or False"});
    expect_text_refusal("{'descr': '<f4', 'shape': (2, 2), }", {"fortran_order"});
    expect_text_refusal("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}",
                        {"'descr'"});
    expect_text_refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), 'more': 1}", {"'more'"});
    expect_text_refusal("{'descr': '<f4' 'fortran_order': False 'shape': (2, 2)}", {"comma"});
}

TEST_F(NpyMalformed, EveryByteOfTheStartMatters) {
    const Bytes good = npy_file(2, npy_text("<f4", false, "(2, 2)"), Bytes(16));
    for (std::size_t length = 1; length < good.size(); ++length) {
        SCOPED_TRACE(length);
        expect_refusal(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)), {});
    }
    for (std::size_t i = 0; i < 12; ++i) {
        Bytes bad = good;
        bad[i] ^= 0x81;
        SCOPED_TRACE(i);
        expect_refusal(bad, {});
    }
}

TEST_F(NpyMalformed, AnyBitOfTheHeaderMayFlip) {
    const Bytes good = npy_file(1, npy_text("<f4", true, "(2, 2)"), Bytes(16));
    for (std::size_t bit = 0; bit < 8 * (good.size() - 16); ++bit) {
        Bytes bad = good;
        bad[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
        test::write_plain(path(), bad);
        try {
            const auto array = open_array(path());
            std::vector<float> row(static_cast<std::size_t>(array->row_size()));
            array->read_row(array->rows() - 1, row.data());
        } catch (const FileError& error) {
            EXPECT_EQ(std::string(error.what()).find(path() + ": "), 0u) << error.what();
        }
    }
}

TEST_F(NpyMalformed, VersionsToComeAreRefused) {
    Bytes bytes = npy_file(1, npy_text("<f4", false, "(2, 2)"), Bytes(16));
    bytes[6] = 4;
    expect_refusal(bytes, {"version 4.0", "1.0, 2.0 or 3.0"});
}

TEST_F(NpyMalformed, AHugeHeaderLengthIsRefusedBeforeItIsRead) {
    Bytes bytes = npy_file(2, npy_text("<f4", false, "(2, 2)"), Bytes(16));
    bytes[11] = 0xff;
    expect_refusal(bytes, {"length of 4278", "damaged"});
}

}  // namespace
}  // namespace lockstep
