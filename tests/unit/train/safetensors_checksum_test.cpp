// A file that Lockstep has written is noticed to be another, whichever byte of it has changed.
#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <tuple>
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

SafetensorsWriter example() {
    SafetensorsWriter writer;
    writer.add("0.weight", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
    writer.add("0.bias", {2}, std::vector<float>(2, 0.25f));
    writer.add("empty", {0, 5}, std::span<const float>());
    writer.add("1.num_batches_tracked", {}, std::vector<std::int64_t>{7});
    writer.set_metadata("lockstep.epoch", "12");
    writer.set_metadata("note", "naïve \"quotes\"\n");
    return writer;
}

/// Everything that a reader can learn from the file.
using Content = std::vector<std::tuple<std::string, DataType, std::vector<Index>, std::vector<std::byte>>>;

Content content_of(const SafetensorsFile& file) {
    Content all;
    for (const std::string& name : file.names()) {
        const TensorEntry& entry = file.at(name);
        all.emplace_back(name, entry.type, entry.shape, std::vector(entry.bytes.begin(), entry.bytes.end()));
    }
    return all;
}

TEST(SafetensorsChecksum, NoFlipOfABitGoesUnnoticedOrChangesWhatIsRead) {
    const ScratchFolder folder;
    example().write(folder / "sound");
    const std::string sound = read_text(folder / "sound");
    const SafetensorsFile whole = SafetensorsFile::read(folder / "sound");
    const Content content = content_of(whole);
    int refused = 0;
    for (std::size_t at = 0; at < sound.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string bad = sound;
            bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
            std::filesystem::remove(folder / "bad");
            write_text(folder / "bad", bad);
            try {
                const SafetensorsFile file = SafetensorsFile::read(folder / "bad");
                ASSERT_EQ(content_of(file), content) << "byte " << at << ", bit " << bit;
                ASSERT_EQ(file.metadata(), whole.metadata()) << "byte " << at << ", bit " << bit;
            } catch (const FileError&) {
                ++refused;
            }
        }
    EXPECT_GT(refused, 7 * static_cast<int>(sound.size())) << "but for the spaces that fill the header up";
}

TEST(SafetensorsChecksum, NamesTheTensor) {
    const ScratchFolder folder;
    example().write(folder / "model");
    std::string bytes = read_text(folder / "model");
    bytes[bytes.size() - 9] ^= 1;  // before the eight bytes of 0.bias
    write_text(folder / "model", bytes);
    const std::string why = message_of<FileError>([&] { SafetensorsFile::read(folder / "model"); });
    EXPECT_NE(why.find("tensor '0.weight' does not have the checksum"), std::string::npos) << why;
    EXPECT_NE(why.find((folder / "model").string()), std::string::npos) << why;
}

TEST(SafetensorsChecksum, IsNoMetadataOfTheUsersAndMayBeAbsent) {
    const ScratchFolder folder;
    example().write(folder / "model");
    EXPECT_EQ(SafetensorsFile::read(folder / "model").metadata().size(), 2u);
    write_text(folder / "other",
               file_text(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd"));
    EXPECT_TRUE(SafetensorsFile::read(folder / "other").contains("w"));
}

// The same header in other words, as a program writes it that keeps the metadata.
TEST(SafetensorsChecksum, IsOfWhatTheHeaderMeans) {
    const ScratchFolder folder;
    SafetensorsWriter writer;
    writer.add("w", {1}, std::vector<float>{1});
    writer.write(folder / "model");
    std::string bytes = read_text(folder / "model");
    const std::string data = bytes.substr(bytes.size() - 4);
    std::string header = bytes.substr(8, bytes.size() - 12);
    header.insert(1, "\n ");
    write_text(folder / "same", file_text(header, data));
    EXPECT_TRUE(SafetensorsFile::read(folder / "same").contains("w"));
}

}  // namespace
}  // namespace lockstep
