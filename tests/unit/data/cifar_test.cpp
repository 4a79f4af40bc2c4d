#include <lockstep/data/cifar.hpp>
#include <lockstep/data/load_dataset.hpp>

#include <gtest/gtest.h>

#include "data_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::Bytes;
using test::expect_error;

constexpr std::size_t record_bytes = 3073;

/// One image whose value tells its channel and place.
Bytes record(std::uint8_t label, std::uint8_t first) {
    Bytes bytes = {label};
    for (std::size_t channel = 0; channel < 3; ++channel)
        for (std::size_t pixel = 0; pixel < 1024; ++pixel)
            bytes.push_back(static_cast<std::uint8_t>(first + 80 * channel + pixel % 79));
    return bytes;
}

/// Six files with one image each, except that data_batch_2.bin has two.
class Cifar : public testing::Test {
  protected:
    void write(const std::filesystem::path& directory) {
        for (int batch = 1; batch <= 5; ++batch) {
            const auto label = static_cast<std::uint8_t>(batch);
            Bytes bytes = record(label, label);
            if (batch == 2) {
                const Bytes another = record(9, 50);
                bytes.insert(bytes.end(), another.begin(), another.end());
            }
            test::write_plain(directory / ("data_batch_" + std::to_string(batch) + ".bin"), bytes);
        }
        test::write_plain(directory / "test_batch.bin", record(7, 3));
    }
    void expect_failure(const std::vector<std::string>& parts) {
        expect_error<FileError>([&] { read_cifar10(folder_.path()); }, parts);
    }

    test::ScratchFolder folder_;
};

TEST_F(Cifar, ReadsTheFilesInOrder) {
    write(folder_.path());
    const ImagesPair pair = read_cifar10(folder_.path());
    EXPECT_EQ(pair.train.labels, (Bytes{1, 2, 9, 3, 4, 5}));
    EXPECT_EQ(pair.test.labels, (Bytes{7}));
    EXPECT_EQ(pair.train.shape, (Shape{32, 32, 3}));
    EXPECT_EQ(pair.test.shape, pair.train.shape);
    EXPECT_EQ(pair.train.pixels.size(), 6u * 3072u);
}

TEST_F(Cifar, PutsTheColoursOfAPixelSideBySide) {
    write(folder_.path());
    const ImagesPair pair = read_cifar10(folder_.path());
    const std::uint8_t* image = pair.train.sample(2);  // the second of data_batch_2.bin
    for (std::size_t pixel = 0; pixel < 1024; ++pixel)
        for (std::size_t channel = 0; channel < 3; ++channel)
            ASSERT_EQ(image[3 * pixel + channel], static_cast<std::uint8_t>(50 + 80 * channel + pixel % 79));
}

TEST_F(Cifar, ReadsFromTheUsualSubFolder) {
    const std::filesystem::path below = folder_ / "cifar-10-batches-bin";
    std::filesystem::create_directory(below);
    write(below);
    EXPECT_EQ(read_cifar10(folder_.path()).train.size(), 6);
    EXPECT_EQ(read_cifar10(below).train.size(), 6);
}

TEST_F(Cifar, EveryMissingFileIsAnError) {
    for (const std::string name : {"data_batch_1.bin", "data_batch_5.bin", "test_batch.bin"}) {
        write(folder_.path());
        std::filesystem::remove(folder_ / name);
        expect_failure({name, "no such file"});
    }
}

TEST_F(Cifar, AMissingFirstFileNamesAllPlaces) {
    expect_failure({"data_batch_1.bin", "data_batch_1.bin.gz", "no such file",
                    (folder_ / "cifar-10-batches-bin").string()});
}

TEST_F(Cifar, AnEmptySubFolderHidesNothing) {
    std::filesystem::create_directory(folder_ / "cifar-10-batches-bin");
    write(folder_.path());
    EXPECT_EQ(read_cifar10(folder_.path()).train.size(), 6);
}

TEST_F(Cifar, SizeThatIsNoMultipleOfARecordIsAnError) {
    write(folder_.path());
    for (const std::size_t size :
         {std::size_t{1}, record_bytes - 1, record_bytes + 1, 2 * record_bytes - 1}) {
        test::write_plain(folder_ / "data_batch_3.bin", Bytes(size, 1));
        expect_failure({"data_batch_3.bin", std::to_string(size) + " bytes", "3073"});
    }
}

TEST_F(Cifar, EmptyFileIsAnError) {
    write(folder_.path());
    test::write_plain(folder_ / "test_batch.bin", {});
    expect_failure({"test_batch.bin", "empty"});
}

TEST_F(Cifar, LabelAboveNineIsAnError) {
    write(folder_.path());
    test::write_plain(folder_ / "data_batch_4.bin", record(10, 0));
    expect_failure({"data_batch_4.bin", "image 0 is 10", "0 to 9"});
}

TEST_F(Cifar, OfAHundredClassesHasTwoLabelsOfWhichTheSecondCounts) {
    const std::filesystem::path below = folder_ / "cifar-100-binary";
    std::filesystem::create_directory(below);
    const auto with_superclass = [](std::uint8_t superclass, std::uint8_t label) {
        Bytes bytes = record(label, 1);
        bytes.insert(bytes.begin(), superclass);
        return bytes;
    };
    Bytes train = with_superclass(3, 99);
    const Bytes second = with_superclass(19, 0);
    train.insert(train.end(), second.begin(), second.end());
    test::write_plain(below / "train.bin", train);
    test::write_plain(below / "test.bin", with_superclass(255, 42));
    const ImagesPair pair = read_cifar100(folder_.path());
    EXPECT_EQ(pair.train.classes, 100);
    EXPECT_EQ(pair.train.labels, (std::vector<std::uint8_t>{99, 0}));
    EXPECT_EQ(pair.test.labels, (std::vector<std::uint8_t>{42}));
    EXPECT_EQ(pair.test.title, "cifar100");
    EXPECT_TRUE(is_dataset_name(pair.test.title));
    const Bytes plain = record(0, 1);
    EXPECT_EQ(pair.train.pixels[3], plain[2]) << "the second pixel's red";

    test::write_plain(below / "test.bin", with_superclass(0, 100));
    expect_error<FileError>([&] { read_cifar100(folder_.path()); },
                            {"test.bin", "is 100", "0 to 99", "CIFAR-100"});
    test::write_plain(below / "test.bin", record(0, 1));
    expect_error<FileError>([&] { read_cifar100(folder_.path()); }, {"test.bin", "3074", "CIFAR-100"});
}

}  // namespace
}  // namespace lockstep
