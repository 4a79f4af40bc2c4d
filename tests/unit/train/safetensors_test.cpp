#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "safetensors_bytes.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::file_text;
using test::message_of;
using test::read_text;
using test::ScratchFolder;
using test::write_text;

const std::vector<Index> matrix_shape{2, 3};
const std::vector<Index> single_shape{};

const std::vector<float> matrix{1.5f, -2, 0.1f, std::numeric_limits<float>::denorm_min(), 1e30f, -0.0f};
const std::vector<double> average{0.1, 1.0 / 3, -1e300};
const std::vector<std::int64_t> count{-(std::int64_t{1} << 62)};

SafetensorsWriter example() {
    SafetensorsWriter writer;
    writer.add("0.weight", matrix_shape, matrix);
    writer.add("1.running_mean", {3}, average);
    writer.add("1.num_batches_tracked", {}, count);
    writer.add("empty", {0, 5}, std::span<const float>());
    writer.set_metadata("format", "pt");
    writer.set_metadata("note", "naïve \"quotes\"\n");
    return writer;
}

TEST(Safetensors, WhatIsWrittenIsReadToTheLastBit) {
    const ScratchFolder folder;
    example().write(folder / "model.safetensors");
    const auto file = SafetensorsFile::read(folder / "model.safetensors");

    std::vector<float> read_matrix(6);
    std::vector<double> read_average(3);
    std::vector<std::int64_t> read_count(1);
    file.copy_to("0.weight", matrix_shape, read_matrix);
    file.copy_to("1.running_mean", std::vector<Index>{3}, read_average);
    file.copy_to("1.num_batches_tracked", single_shape, read_count);
    EXPECT_EQ(read_matrix, matrix);
    EXPECT_TRUE(std::signbit(read_matrix[5]));
    EXPECT_EQ(read_average, average);
    EXPECT_EQ(read_count, count);
    EXPECT_EQ(file.at("empty").shape, (std::vector<Index>{0, 5}));
    EXPECT_EQ(file.names().size(), 4u);
    EXPECT_TRUE(file.contains("empty"));
    EXPECT_FALSE(file.contains("0.bias"));
    EXPECT_EQ(file.metadata().at("format"), "pt");
    EXPECT_EQ(file.metadata().at("note"), "naïve \"quotes\"\n");
}

TEST(Safetensors, AFileMayBeEmpty) {
    const ScratchFolder folder;
    SafetensorsWriter().write(folder / "empty.safetensors");
    EXPECT_TRUE(SafetensorsFile::read(folder / "empty.safetensors").names().empty());
}

TEST(Safetensors, TheSameTensorsGiveTheSameBytes) {
    const ScratchFolder folder;
    example().write(folder / "one");
    example().write(folder / "two");
    EXPECT_EQ(read_text(folder / "one"), read_text(folder / "two"));
}

// Spelled out once, so that a change of the format cannot hide behind a reader that changed along.
TEST(Safetensors, TheBytesAreThoseOfTheFormat) {
    const ScratchFolder folder;
    const std::vector<float> one{1.0f};
    SafetensorsWriter writer;
    writer.add("w", {1}, one);
    writer.write(folder / "model");
    EXPECT_EQ(read_text(folder / "model"),
              file_text(R"({"__metadata__":{"lockstep.checksum":"186dc22af7d81398",)"
                        R"("lockstep.tensor_checksums":"09b49c583993d06c"},)"
                        R"("w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"
                        "   ",
                        std::string("\0\0\x80\x3f", 4)));
}

// Readers that map the file view an array in place, which must then be aligned.
TEST(Safetensors, EveryArrayIsAligned) {
    const ScratchFolder folder;
    const std::vector<float> three(3);
    SafetensorsWriter writer;
    writer.add("a", {3}, three);
    writer.add("b", {}, count);
    writer.add("c", {3}, three);
    writer.add("d", {3}, average);
    writer.write(folder / "model");
    const auto file = SafetensorsFile::read(folder / "model");
    EXPECT_EQ(file.names(), (std::vector<std::string>{"b", "d", "a", "c"}));
    const std::byte* const start = file.at("b").bytes.data();
    EXPECT_EQ((read_text(folder / "model").size() - (8 + 24 + 12 + 12)) % 8, 0u);
    for (const auto& name : file.names()) {
        EXPECT_EQ((file.at(name).bytes.data() - start) % static_cast<Index>(size_of(file.at(name).type)), 0)
            << name;
    }
}

TEST(Safetensors, ArraysCanBeHandedOver) {
    const ScratchFolder folder;
    SafetensorsWriter writer;
    for (int i = 0; i < 20; ++i) writer.add(std::to_string(i), {2}, std::vector<double>{1.0 * i, 2.0 * i});
    writer.write(folder / "model");
    const auto file = SafetensorsFile::read(folder / "model");
    for (int i = 0; i < 20; ++i) {
        std::vector<double> values(2);
        file.copy_to(std::to_string(i), std::vector<Index>{2}, values);
        EXPECT_EQ(values, (std::vector<double>{1.0 * i, 2.0 * i}));
    }
}

TEST(Safetensors, EveryFloatingTypeIsConverted) {
    const ScratchFolder folder;
    // 1.5, -2, the largest half or a large bfloat16, the smallest half above 0 or a small bfloat16
    write_text(folder / "f16", file_text(R"({"x":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})",
                                         std::string("\x00\x3e\x00\xc0\xff\x7b\x01\x00", 8)));
    write_text(folder / "bf16", file_text(R"({"x":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})",
                                          std::string("\xc0\x3f\x00\xc0\x80\x7e\x80\x00", 8)));
    const std::vector<Index> shape{4};
    std::vector<float> floats(4);
    std::vector<double> doubles(4);
    SafetensorsFile::read(folder / "f16").copy_to("x", shape, floats);
    EXPECT_EQ(floats, (std::vector<float>{1.5f, -2.0f, 65504.0f, 0x1p-24f}));
    SafetensorsFile::read(folder / "f16").copy_to("x", shape, doubles);
    EXPECT_EQ(doubles, (std::vector<double>{1.5, -2.0, 65504.0, 0x1p-24}));
    SafetensorsFile::read(folder / "bf16").copy_to("x", shape, floats);
    EXPECT_EQ(floats, (std::vector<float>{1.5f, -2.0f, 0x1p126f, 0x1p-126f}));

    example().write(folder / "model");
    const auto file = SafetensorsFile::read(folder / "model");
    std::vector<double> wide(6);
    std::vector<float> narrow(3);
    file.copy_to("0.weight", matrix_shape, wide);
    EXPECT_EQ(wide[2], static_cast<double>(0.1f));
    file.copy_to("1.running_mean", std::vector<Index>{3}, narrow);
    EXPECT_EQ(narrow[1], 1.0f / 3);
}

TEST(Safetensors, SaysWhatDoesNotFit) {
    const ScratchFolder folder;
    example().write(folder / "model");
    const auto file = SafetensorsFile::read(folder / "model");
    std::vector<float> values(6);
    std::vector<std::int64_t> integers(6);
    const std::vector<Index> transposed{3, 2};

    const auto missing = message_of<FileError>([&] { file.at("0.bias"); });
    for (const char* part : {"model", "'0.bias'", "0.weight", "1.running_mean"}) {
        EXPECT_NE(missing.find(part), std::string::npos) << missing;
    }
    const auto shapes = message_of<FileError>([&] { file.copy_to("0.weight", transposed, values); });
    for (const char* part : {"model", "'0.weight'", "[2, 3]", "[3, 2]"}) {
        EXPECT_NE(shapes.find(part), std::string::npos) << shapes;
    }
    EXPECT_THROW(file.copy_to("1.num_batches_tracked", single_shape, std::span(values).first(1)), FileError);
    EXPECT_THROW(file.copy_to("0.weight", matrix_shape, integers), FileError);
    EXPECT_THROW(file.copy_to("0.weight", matrix_shape, std::span(values).first(5)), UsageError);
}

TEST(Safetensors, TheWriterRefusesWhatWouldNotBeReadable) {
    const ScratchFolder folder;
    SafetensorsWriter writer = example();
    EXPECT_THROW(writer.add("0.weight", matrix_shape, matrix), UsageError);
    EXPECT_THROW(writer.add("__metadata__", matrix_shape, matrix), UsageError);
    EXPECT_THROW(writer.add("shape", {2, 2}, matrix), UsageError);
    EXPECT_THROW(writer.add("negative", {-2, -3}, matrix), UsageError);
    EXPECT_THROW(writer.add("overflow", {Index{1} << 40, Index{1} << 40}, std::span<const float>()),
                 UsageError);
    writer.write(folder / "model");
    EXPECT_EQ(SafetensorsFile::read(folder / "model").names().size(), 4u);

    SafetensorsWriter latin1;
    latin1.add("caf\xe9", matrix_shape, matrix);
    EXPECT_THROW(latin1.write(folder / "latin1"), UsageError);
    EXPECT_THROW(example().write(folder / "no/such/folder"), FileError);
    EXPECT_EQ(folder.entries(), 1);
}

TEST(Safetensors, IntegersOfEveryTypeAreReadAsTheyAre) {
    const ScratchFolder folder;
    struct Case {
        std::string type, bytes;
        std::int64_t value;
    };
    const std::string ones(8, '\xff');
    const std::vector<Case> cases = {
        {"I8", ones.substr(0, 1), -1},
        {"U8", ones.substr(0, 1), 255},
        {"I16", {"\x02\x80", 2}, -32766},
        {"U16", {"\x02\x80", 2}, 32770},
        {"I32", ones.substr(0, 4), -1},
        {"U32", ones.substr(0, 4), 4294967295},
        {"I64", {"\1\2\0\0\0\0\0\x80", 8}, std::numeric_limits<std::int64_t>::min() + 513},
        {"U64", {"\1\2\0\0\0\0\0\x40", 8}, (std::int64_t{1} << 62) + 513}};
    for (const Case& one : cases) {
        SCOPED_TRACE(one.type);
        const auto write = [&](const std::string& bytes) {
            write_text(folder / "model",
                       file_text(R"({"n":{"dtype":")" + one.type + R"(","shape":[],"data_offsets":[0,)" +
                                     std::to_string(bytes.size()) + "]}}",
                                 bytes));
            return SafetensorsFile::read(folder / "model");
        };
        const auto file = write(one.bytes);
        std::int64_t value = 0;
        file.copy_to("n", single_shape, std::span(&value, 1));
        EXPECT_EQ(value, one.value);
        float number = 0;
        EXPECT_THROW(file.copy_to("n", single_shape, std::span(&number, 1)), FileError);
        if (one.type == "U64") {
            EXPECT_THROW(write(ones).copy_to("n", single_shape, std::span(&value, 1)), FileError);
        }
    }
}

}  // namespace
}  // namespace lockstep
