#include <lockstep/data/idx.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <numeric>

#include "data_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::Bytes;
using test::expect_error;

void append_number(Bytes& bytes, std::uint32_t value) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

Bytes idx_bytes(std::uint32_t magic, const std::vector<std::uint32_t>& dimensions, const Bytes& values) {
    Bytes bytes;
    append_number(bytes, magic);
    for (const std::uint32_t dimension : dimensions) append_number(bytes, dimension);
    bytes.insert(bytes.end(), values.begin(), values.end());
    return bytes;
}

constexpr std::uint32_t image_magic = 0x803, label_magic = 0x801;

/// Four images of 3 × 5 with labels 1, 0, 9, 4, which each test damages in its own way.
class Idx : public testing::Test {
  protected:
    Idx() : values_(60) { std::iota(values_.begin(), values_.end(), std::uint8_t{100}); }

    void write_images(const Bytes& bytes) { test::write_plain(folder_ / "images", bytes); }
    void write_labels(const Bytes& bytes) { test::write_plain(folder_ / "labels", bytes); }
    Bytes good_images() const { return idx_bytes(image_magic, {4, 3, 5}, values_); }
    Bytes good_labels() const { return idx_bytes(label_magic, {4}, labels_); }
    void write_good() {
        write_images(good_images());
        write_labels(good_labels());
    }

    Images read() const { return read_idx(folder_.path(), "images", "labels"); }
    void expect_failure(std::vector<std::string> parts) {
        parts.push_back(folder_.path().string());  // every error names the file
        expect_error<FileError>([&] { read(); }, parts);
    }

    test::ScratchFolder folder_;
    Bytes values_;
    Bytes labels_ = {1, 0, 9, 4};
};

TEST_F(Idx, ReadsPlainFiles) {
    write_good();
    const Images data = read();
    EXPECT_EQ(data.shape, (Shape{3, 5, 1}));
    EXPECT_EQ(data.classes, 10);
    EXPECT_EQ(data.size(), 4);
    EXPECT_EQ(data.pixels, values_);
    EXPECT_EQ(data.labels, labels_);
    EXPECT_EQ(*data.sample(2), 130);
}

TEST_F(Idx, ReadsCompressedFiles) {
    test::write_compressed(folder_ / "images.gz", good_images());
    test::write_compressed(folder_ / "labels.gz", good_labels());
    const Images data = read();
    EXPECT_EQ(data.pixels, values_);
    EXPECT_EQ(data.labels, labels_);
}

TEST_F(Idx, ReadsFilesLargerThanOneChunk) {
    const Bytes many(2'500'000, 77);
    write_images(idx_bytes(image_magic, {4, 1000, 625}, many));
    write_labels(good_labels());
    EXPECT_EQ(read().pixels, many);
}

TEST_F(Idx, MissingFileNamesBothSpellings) {
    expect_failure({"images", "images.gz", "no such file"});
    write_images(good_images());
    expect_failure({"labels", "labels.gz", "no such file"});
}

TEST_F(Idx, MissingFolderIsAnError) {
    expect_error<FileError>([&] { read_idx(folder_ / "nowhere", "images", "labels"); }, {"nowhere/images"});
    write_good();
    expect_error<FileError>([&] { read_idx(folder_ / "labels", "images", "labels"); }, {"labels/images"});
}

TEST_F(Idx, FolderInPlaceOfAFileIsAnError) {
    std::filesystem::create_directory(folder_ / "images");
    expect_failure({"images", "a directory"});
}

TEST_F(Idx, WrongMagicIsAnError) {
    write_good();
    write_images(good_labels());
    expect_failure({"images", "0x00000801", "0x00000803"});
    write_good();
    write_labels(idx_bytes(0xd01, {4}, labels_));  // float values
    expect_failure({"labels", "0x00000d01", "0x00000801"});
}

TEST_F(Idx, EveryTruncationIsAnError) {
    for (const bool cut_images : {true, false}) {
        write_good();
        const Bytes whole = cut_images ? good_images() : good_labels();
        for (std::size_t kept = 0; kept < whole.size(); ++kept) {
            const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept));
            cut_images ? write_images(cut) : write_labels(cut);
            expect_failure({cut_images ? "images" : "labels", "truncated"});
        }
    }
}

TEST_F(Idx, TruncationSaysHowMuchIsThere) {
    write_good();
    const Bytes whole = good_images();
    write_images(Bytes(whole.begin(), whole.end() - 7));
    expect_failure({"after 53 of the 60 bytes of 4 images of 3 x 5 pixels"});
}

TEST_F(Idx, TrailingBytesAreAnError) {
    for (const bool in_images : {true, false}) {
        write_good();
        Bytes longer = in_images ? good_images() : good_labels();
        longer.push_back(0);
        in_images ? write_images(longer) : write_labels(longer);
        expect_failure({in_images ? "images" : "labels", "more bytes follow"});
    }
}

TEST_F(Idx, DimensionsThatOverflowOrAreAbsurdAreAnError) {
    write_good();
    const std::uint32_t most = 0xffffffff;
    const std::vector<std::vector<std::uint32_t>> absurd = {
        {most, most, most}, {4, most, most}, {4, 0x10000, 0x10000}, {1u << 30, 4096, 4096}, {most, 1, 1},
        {4, 0, 5},          {4, 3, 0},
    };
    for (const auto& dimensions : absurd) {
        write_images(idx_bytes(image_magic, dimensions, values_));
        expect_failure({"images", "announces"});
    }
}

// 64 GiB are announced (the limit) and 60 bytes are there: this must neither take memory nor time.
TEST_F(Idx, HeaderThatLiesDoesNotExhaustMemory) {
    write_good();
    write_images(idx_bytes(image_magic, {4096, 4096, 4096}, values_));
    expect_failure({"images", "truncated", "after 60 of"});
    write_good();
    write_images(idx_bytes(image_magic, {0x7fffffff, 1, 1}, Bytes(0)));
    expect_failure({"images", "truncated", "after 0 of"});
}

TEST_F(Idx, NoImagesAtAllIsAnError) {
    write_good();
    write_images(idx_bytes(image_magic, {0, 3, 5}, {}));
    expect_failure({"images", "no samples"});
}

TEST_F(Idx, DifferentNumbersOfImagesAndLabelsAreAnError) {
    write_good();
    write_labels(idx_bytes(label_magic, {3}, {1, 0, 9}));
    expect_failure({"labels", "3 labels", "number 4"});
}

TEST_F(Idx, ClassesAreWhatTheLabelsSay) {
    write_good();
    for (const int largest : {0, 1, 10, 26, 255}) {
        write_labels(idx_bytes(label_magic, {4}, {0, 0, static_cast<std::uint8_t>(largest), 0}));
        EXPECT_EQ(read().classes, largest + 1);
    }
}

TEST_F(Idx, EveryTruncationOfACompressedFileIsAnError) {
    const std::filesystem::path path = folder_ / "images.gz";
    test::write_compressed(path, good_images());
    write_labels(good_labels());
    const Bytes whole = test::read_plain(path);
    for (std::size_t kept = 0; kept < whole.size(); ++kept) {
        test::write_plain(path, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept)));
        expect_failure({"images.gz"});
    }
}

TEST_F(Idx, WrongChecksumOrLengthOfACompressedFileIsAnError) {
    const std::filesystem::path path = folder_ / "images.gz";
    write_labels(good_labels());
    for (std::ptrdiff_t from_end = 1; from_end <= 8; ++from_end) {  // checksum, then length, four bytes each
        test::write_compressed(path, good_images());
        Bytes damaged = test::read_plain(path);
        *(damaged.end() - from_end) ^= 0x55;
        test::write_plain(path, damaged);
        expect_failure({"images.gz", "damaged"});
    }
}

TEST_F(Idx, MnistNeedsTheFourFilesAndOneShape) {
    const auto put = [&](const std::string& name, const Bytes& bytes) {
        test::write_plain(folder_ / name, bytes);
    };
    put("train-images-idx3-ubyte", good_images());
    put("train-labels-idx1-ubyte", good_labels());
    put("t10k-labels-idx1-ubyte", idx_bytes(label_magic, {2}, {3, 3}));
    expect_error<FileError>([&] { read_mnist(folder_.path()); }, {"t10k-images-idx3-ubyte"});
    put("t10k-images-idx3-ubyte", idx_bytes(image_magic, {2, 5, 3}, Bytes(30, 1)));
    expect_error<FileError>([&] { read_mnist(folder_.path()); }, {"5x3x1", "3x5x1"});
    put("t10k-images-idx3-ubyte", idx_bytes(image_magic, {2, 3, 5}, Bytes(30, 1)));
    const ImagesPair pair = read_mnist(folder_.path());
    EXPECT_EQ(pair.train.size(), 4);
    EXPECT_EQ(pair.test.size(), 2);
}

/// A set of two training images and one test image in files of any names; the first pixel of all images tells
/// sets apart.
class MnistNames : public testing::Test {
  protected:
    struct Names {
        std::string train = "train", test = "t10k", mark = "-";
        bool compressed = false;
    };

    void write_set(const std::filesystem::path& below, const Names& names, std::uint8_t pixel,
                   const Bytes& labels = {3, 1, 2}) {
        std::filesystem::create_directories(folder_.path() / below);
        const auto put = [&](const std::string& part, const std::string& kind, const std::string& type,
                             const Bytes& bytes) {
            const std::filesystem::path path =
                folder_.path() / below / (part + "-" + kind + names.mark + type);
            names.compressed ? test::write_compressed(path.string() + ".gz", bytes)
                             : test::write_plain(path, bytes);
        };
        put(names.train, "images", "idx3-ubyte", idx_bytes(image_magic, {2, 1, 1}, {pixel, pixel}));
        put(names.train, "labels", "idx1-ubyte", idx_bytes(label_magic, {2}, {labels[0], labels[1]}));
        put(names.test, "images", "idx3-ubyte", idx_bytes(image_magic, {1, 1, 1}, {pixel}));
        put(names.test, "labels", "idx1-ubyte", idx_bytes(label_magic, {1}, {labels[2]}));
    }
    int pixel_read() const { return read_mnist(folder_.path()).train.pixels[0]; }
    void expect_failure(const std::vector<std::string>& parts) const {
        expect_error<FileError>([&] { read_mnist(folder_.path()); }, parts);
    }

    test::ScratchFolder folder_;
};

TEST_F(MnistNames, EverySpellingInEveryUsualFolderIsFound) {
    std::uint8_t pixel = 0;
    for (const std::string below : {"", "raw", "MNIST/raw", "FashionMNIST/raw", "EMNIST/raw"})
        for (const std::string mark : {"-", "."})
            for (const bool compressed : {false, true})
                for (const bool letters : {false, true}) {
                    SCOPED_TRACE(below + mark + (compressed ? ".gz" : "") + (letters ? " letters" : ""));
                    const std::string prefix = letters ? "emnist-letters-" : "";
                    write_set(below,
                              {prefix + "train", prefix + (letters ? "test" : "t10k"), mark, compressed},
                              ++pixel);
                    EXPECT_EQ(pixel_read(), pixel);
                    EXPECT_EQ(read_mnist(folder_.path()).test.pixels[0], pixel);
                    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
                        std::filesystem::remove_all(entry.path());
                }
}

TEST_F(MnistNames, SeveralSetsAreAnErrorThatListsThem) {
    write_set("MNIST/raw", {}, 1);
    write_set("FashionMNIST/raw", {}, 2);
    expect_failure({"several", (folder_ / "MNIST/raw").string(), (folder_ / "FashionMNIST/raw").string()});
    EXPECT_EQ(read_mnist(folder_ / "FashionMNIST").train.pixels[0], 2);
    // What the folder itself holds comes first, as it always has.
    write_set("", {"emnist-letters-train", "emnist-letters-test"}, 3);
    EXPECT_EQ(pixel_read(), 3);
    write_set("", {"emnist-digits-train", "emnist-digits-test"}, 4);
    expect_failure({"several", "emnist-letters-", "emnist-digits-"});
    write_set("", {}, 5);
    EXPECT_EQ(pixel_read(), 5);
}

TEST_F(MnistNames, WhatIsMissingIsNamedWithAllThatWasTried) {
    expect_failure({"no such file", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
                    "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz", "emnist-",
                    (folder_ / "MNIST/raw").string(), (folder_ / "FashionMNIST/raw").string()});
    write_set("MNIST/raw", {}, 1);
    std::filesystem::remove(folder_ / "MNIST/raw/t10k-labels-idx1-ubyte");
    expect_failure({"MNIST/raw/t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte.gz"});
}

TEST_F(MnistNames, TrainingAndTestPartHaveTheClassesOfBoth) {
    for (const Bytes& labels : {Bytes{26, 1, 3}, Bytes{1, 3, 26}}) {
        write_set("", {}, 1, labels);
        const ImagesPair pair = read_mnist(folder_.path());
        EXPECT_EQ(pair.train.classes, 27);
        EXPECT_EQ(pair.test.classes, 27);
    }
}

// The real thing, where it is at hand: 8,000 training and 2,000 test images of MNIST.
TEST(Mnist, IsReadWhole) {
    const char* directory = std::getenv("LOCKSTEP_DATA_DIR");
    if (directory == nullptr) GTEST_SKIP() << "LOCKSTEP_DATA_DIR is not set";
    const ImagesPair pair = read_mnist(directory);
    for (const auto& [data, count] : {std::pair{&pair.train, 8000}, std::pair{&pair.test, 2000}}) {
        EXPECT_EQ(data->size(), count);
        EXPECT_EQ(data->shape, (Shape{28, 28, 1}));
        std::array<int, 10> histogram{};
        for (const std::uint8_t label : data->labels) ++histogram[label];
        for (const int times : histogram) EXPECT_NEAR(times, count / 10, count / 25);
        const double mean = std::accumulate(data->pixels.begin(), data->pixels.end(), 0.0) /
                            static_cast<double>(data->pixels.size());
        EXPECT_NEAR(mean / 255, 0.1307, 0.005);  // MNIST's well-known mean
    }
}

}  // namespace
}  // namespace lockstep
