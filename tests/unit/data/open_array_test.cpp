#include <lockstep/base/error.hpp>
#include <lockstep/data/array.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "npy_files.hpp"
#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

using test::Bytes;

class OpenArray : public testing::Test {
  protected:
    std::string write(const std::string& name, const std::string& contents) {
        const std::filesystem::path path = folder_ / name;
        test::write_plain(path, Bytes(contents.begin(), contents.end()));
        return path.string();
    }
    void expect_refusal(const std::string& text, const std::vector<std::string>& parts) {
        test::expect_error<FileError>([&] { open_array(text); }, parts);
    }

    test::ScratchFolder folder_;
    const std::string zip_ = "PK\x03\x04 and more";
};

TEST_F(OpenArray, WhatIsNoFileIsSaidToBeSo) {
    expect_refusal((folder_ / "none.npy").string(), {"none.npy: there is no such file"});
    expect_refusal((folder_ / "none.h5:/x").string(), {"none.h5: there is no such file"});
    expect_refusal("", {"there is no such file"});
    expect_refusal(folder_.path().string(), {"a folder, where a file was expected"});
    expect_refusal(write("empty.npy", ""), {"empty.npy: it is empty"});
    const std::string pipe = (folder_ / "pipe").string();
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    expect_refusal(pipe, {"a pipe"});
}

TEST_F(OpenArray, OtherFormatsAreRefusedWithTheWayOut) {
    const std::string npz = write("train.npz", zip_);
    expect_refusal(npz, {"python3 -c \"import numpy; z = numpy.load('" + npz +
                         "'); [numpy.save(k + '.npy', z[k]) for k in z.files]\""});
    expect_refusal(write("model.pt", zip_), {"PyTorch", "numpy.save('model.npy', tensor.numpy())"});
    expect_refusal(write("data.zip", zip_), {"zip archive", "unpack"});
    expect_refusal(write("train.npy.gz", "\x1f\x8b\x08"), {"compressed", "gunzip"});
    expect_refusal(write("table.csv", "1,2\n3,4\n"), {"table of text", "numpy.loadtxt", "delimiter=','"});
    expect_refusal(write("x.npy", "nothing of the kind"), {"x.npy", "damaged"});
    expect_refusal(write("x.h5", "nothing of the kind"), {"x.h5", "damaged"});
    expect_refusal(write("x", "?"), {"format is unknown", "numpy.save"});
}

TEST_F(OpenArray, ContentsDecideAndNotTheName) {
    const Bytes bytes = test::npy_array<float>({1, 2, 3}, 3, 1, 1, false, false);
    for (const std::string name : {"train", "train.h5", "odd:"}) {
        test::write_plain(folder_ / name, bytes);
        test::expect_values(*open_array((folder_ / name).string()), std::vector<float>{1, 2, 3});
    }
}

TEST_F(OpenArray, APathWithinAnNpyFileIsRefused) {
    const std::filesystem::path path = folder_ / "x.npy";
    test::write_plain(path, test::npy_array<float>({1}, 1, 1, 1, false, false));
    expect_refusal(path.string() + ":/x", {"one array", "leave out '/x'"});
}

TEST_F(OpenArray, WithoutHdf5TheMessageSaysHowToGetIt) {
    if (has_hdf5()) GTEST_SKIP() << "this build has HDF5";
    const std::string path = write("x.h5", "\x89HDF\r\n\x1a\n and more");
    expect_refusal(path + ":/x",
                   {"no HDF5", "libhdf5-dev", "LOCKSTEP_HDF5=ON", "h5py.File('" + path + "')['/x']"});
}

}  // namespace
}  // namespace lockstep
