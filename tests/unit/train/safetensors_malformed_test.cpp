#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>
#include <lockstep/train/safetensors.hpp>

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "safetensors_bytes.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::file_text;
using test::length_prefix;
using test::message_of;
using test::read_text;
using test::ScratchFolder;
using test::write_text;

struct Malformed {
    const char* name;
    std::string content;
    std::string message;  // a part of what the error must say

    friend void PrintTo(const Malformed& file, std::ostream* out) { *out << file.name; }
};

/// A file of 8 bytes of data whose only tensor "x" has this entry.
std::string with_entry(const std::string& entry) {
    return file_text(R"({"x":)" + entry + "}", "datadata");
}

std::string with_shape_and_offsets(const std::string& shape, const std::string& offsets) {
    return with_entry(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}");
}

std::string two_tensors(const std::string& first_offsets, const std::string& second_offsets,
                        const std::string& data) {
    return file_text(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":)" + first_offsets +
                         R"(},"y":{"dtype":"F32","shape":[1],"data_offsets":)" + second_offsets + "}}",
                     data);
}

class MalformedSafetensors : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedSafetensors, IsRefusedWithTheFileAndTheFault) {
    const ScratchFolder folder;
    const auto path = folder / "bad.safetensors";
    write_text(path, GetParam().content);
    const auto message = message_of<FileError>([&] { SafetensorsFile::read(path); });
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

const std::string good_entry = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

const std::vector<Malformed> malformed_files{
    {"empty", "", "0 bytes"},
    {"shorter_than_the_prefix", "1234567", "7 bytes"},
    {"header_beyond_the_file", length_prefix(100) + "{}", "100"},
    {"header_larger_than_allowed", length_prefix(100'000'001) + "{}", "100000001"},
    {"header_length_all_ones", length_prefix(~0ULL) + "{}", "18446744073709551615"},
    {"header_length_zero", length_prefix(0), "JSON"},
    {"not_json", file_text("{\"x\":", "datadata"), "JSON"},
    {"two_json_values", file_text("{}{}", ""), "JSON"},
    {"not_utf8", file_text("{\"\xff\":{}}", ""), "JSON"},
    {"header_is_a_list", file_text("[]", ""), "not a JSON object"},
    {"header_is_a_number", file_text("7", ""), "not a JSON object"},
    {"deeply_nested", file_text(std::string(100'000, '['), ""), "nested"},
    {"deeply_nested_in_an_entry", with_entry(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"),
     "nested"},
    {"entry_is_a_number", with_entry("7"), "'x'"},
    {"entry_is_null", with_entry("null"), "'x'"},
    {"no_dtype", with_entry(R"({"shape":[2],"data_offsets":[0,8]})"), "dtype"},
    {"no_shape", with_entry(R"({"dtype":"F32","data_offsets":[0,8]})"), "shape"},
    {"no_offsets", with_entry(R"({"dtype":"F32","shape":[2]})"), "data_offsets"},
    {"an_extra_key", with_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"z":1})"), "more than"},
    {"unknown_dtype", with_entry(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})"), "F33"},
    {"dtype_is_a_number", with_entry(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"), "dtype"},
    {"shape_is_a_number", with_shape_and_offsets("2", "[0,8]"), "shape"},
    {"shape_is_an_object", with_shape_and_offsets("{}", "[0,8]"), "shape"},
    {"negative_shape", with_shape_and_offsets("[-2]", "[0,8]"), "-2"},
    {"two_negative_shapes", with_shape_and_offsets("[-2,-1]", "[0,8]"), "-2"},
    {"fractional_shape", with_shape_and_offsets("[2.0]", "[0,8]"), "2.0"},
    {"text_in_the_shape", with_shape_and_offsets(R"(["2"])", "[0,8]"), "shape"},
    {"shape_beyond_64_bits", with_shape_and_offsets("[18446744073709551618]", "[0,8]"), "shape"},
    {"shape_beyond_63_bits", with_shape_and_offsets("[9223372036854775808]", "[0,8]"), "shape"},
    // 2^32·2^32·… wraps around to 0 or to the right number in 64 bits
    {"shape_overflows", with_shape_and_offsets("[4294967296,4294967296]", "[0,0]"), "overflow"},
    {"bytes_overflow", with_shape_and_offsets("[4611686018427387906]", "[0,8]"), "does not fill"},
    {"shape_too_large_for_its_bytes", with_shape_and_offsets("[3]", "[0,8]"), "does not fill"},
    {"shape_too_small_for_its_bytes", with_shape_and_offsets("[1]", "[0,8]"), "does not fill"},
    {"bytes_not_of_whole_values", with_shape_and_offsets("[1]", "[0,7]"), "does not fill"},
    {"offsets_beyond_the_data", with_shape_and_offsets("[4]", "[0,16]"), "leave the 8 bytes"},
    {"offsets_far_beyond_the_data",
     with_shape_and_offsets("[2]", "[18446744073709551608,18446744073709551615]"), "leave the 8 bytes"},
    {"offsets_reversed", with_shape_and_offsets("[2]", "[8,0]"), "leave the 8 bytes"},
    {"offsets_negative", with_shape_and_offsets("[2]", "[-8,0]"), "data_offsets"},
    {"offsets_fractional", with_shape_and_offsets("[2]", "[0,8.5]"), "data_offsets"},
    {"offsets_of_one_number", with_shape_and_offsets("[2]", "[8]"), "data_offsets"},
    {"offsets_of_three_numbers", with_shape_and_offsets("[2]", "[0,8,8]"), "data_offsets"},
    {"offsets_are_a_text", with_shape_and_offsets("[2]", R"("0,8")"), "data_offsets"},
    {"tensors_are_the_same_bytes", two_tensors("[0,4]", "[0,4]", "data"), "overlap"},
    {"tensors_overlap", two_tensors("[0,4]", "[2,6]", "datada"), "overlap"},
    {"hole_between_tensors", two_tensors("[0,4]", "[5,9]", "datadatad"), "gap"},
    {"hole_before_the_first", two_tensors("[1,5]", "[5,9]", "datadatad"), "gap"},
    {"trailing_bytes", two_tensors("[0,4]", "[4,8]", "datadata!"), "1 bytes at its end"},
    {"truncated_data", two_tensors("[0,4]", "[4,8]", "datadat"), "leave the 7 bytes"},
    {"a_tensor_twice", file_text(R"({"x":)" + good_entry + R"(,"x":)" + good_entry + "}", "datadata"),
     "twice"},
    {"a_key_twice", with_entry(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "twice"},
    {"metadata_is_a_list", file_text(R"({"__metadata__":[]})", ""), "__metadata__"},
    {"metadata_holds_a_number", file_text(R"({"__metadata__":{"epoch":7}})", ""), "__metadata__"},
};

INSTANTIATE_TEST_SUITE_P(All, MalformedSafetensors, testing::ValuesIn(malformed_files),
                         [](const auto& instance) { return std::string(instance.param.name); });

// The entries above are refused for the fault that they name: without it they load.
TEST(Safetensors, TheCounterpartsOfTheMalformedFilesLoad) {
    const ScratchFolder folder;
    const auto path = folder / "good.safetensors";
    for (const std::string& content :
         {with_entry(good_entry), with_shape_and_offsets("[2,1,1]", "[0,8]"),
          two_tensors("[0,4]", "[4,8]", "datadata"), two_tensors("[4,8]", "[0,4]", "datadata"),
          file_text(R"({"__metadata__":{"epoch":"7"}})", ""), file_text("{}   ", "")}) {
        write_text(path, content);
        EXPECT_NO_THROW(SafetensorsFile::read(path)) << content;
    }
}

TEST(Safetensors, RefusesWhatIsNotAFile) {
    const ScratchFolder folder;
    for (const auto& path : {folder / "missing.safetensors", folder.path()}) {
        const auto message = message_of<FileError>([&] { SafetensorsFile::read(path); });
        EXPECT_NE(message.find(path.string()), std::string::npos) << message;
    }
}

/// Changes 1 to 3 bytes, mostly in the header where it matters, and cuts the end off now and then.
std::string damage(std::string content, RandomStream& random) {
    const std::uint64_t changes = 1 + random.below(3);
    for (std::uint64_t i = 0; i < changes; ++i) {
        const std::uint64_t position = random.below(content.size());
        switch (random.below(3)) {
            case 0:
                content[position] = static_cast<char>(random.below(256));
                break;
            case 1:
                content[position] = static_cast<char>('0' + random.below(10));
                break;
            default:
                content[position] = static_cast<char>(content[position] ^ (1 << random.below(8)));
        }
    }
    if (random.below(4) == 0) content.resize(random.below(content.size() + 1));
    return content;
}

TEST(Safetensors, ADamagedFileLoadsOrIsRefusedAndNothingElse) {
    const ScratchFolder folder;
    const auto path = folder / "damaged.safetensors";
    // Of another program: without checksums, which would leave the rest nothing to do.
    const std::string content =
        file_text(R"({"__metadata__":{"format":"pt"},)"
                  R"("1.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                  R"("0.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},)"
                  R"("0.bias":{"dtype":"F32","shape":[2],"data_offsets":[32,40]}})",
                  std::string(40, '\1'));

    RandomStream random(1, RandomPurpose::test, 0);
    int loaded = 0, refused = 0;
    for (int round = 0; round < 4000; ++round) {
        std::filesystem::remove(
            path);  // to truncate it instead would wait for the disk, some milliseconds each time
        write_text(path, damage(content, random));
        try {
            const auto file = SafetensorsFile::read(path);
            std::size_t bytes = 0;
            for (const std::string& name : file.names()) {
                for (const std::byte byte : file.at(name).bytes)
                    bytes += std::to_integer<std::size_t>(byte) & 0;
                bytes += file.at(name).bytes.size();
            }
            ASSERT_LE(bytes, content.size());
            ++loaded;
        } catch (const FileError& error) {
            ASSERT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
            ++refused;
        }
    }
    EXPECT_GT(loaded, 100);  // else the damage never reaches what lies behind the first check
    EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace lockstep
