#include "hdf5.hpp"
#include "npy.hpp"
#include "npy_header.hpp"
#include "watched_file.hpp"

#include <lockstep/data/array.hpp>

#include <algorithm>
#include <array>
#include <filesystem>

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view hdf5_magic("\x89HDF\r\n\x1a\n");

struct Place {
    fs::path file;
    std::string dataset;  // within the file, "" if none was said
};

/// "weather.h5:/x" → weather.h5 and /x; a file that has such a name itself is meant as it is.
Place split(const std::string& text) {
    std::error_code ignored;
    const std::size_t colon = text.find(":/");
    if (colon == std::string::npos || fs::exists(text, ignored)) return {text, ""};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

bool starts_with(const WatchedFile& file, std::size_t offset, std::string_view magic) {
    std::string start(magic.size(), '\0');
    return file.read(offset, std::as_writable_bytes(std::span(start))) == start.size() && start == magic;
}

/// HDF5 files may begin with a block of the user's own, of 512, 1024, 2048 … bytes.
bool is_hdf5(const WatchedFile& file) {
    for (std::size_t offset = 0; offset < file.size(); offset = std::max<std::size_t>(512, 2 * offset))
        if (starts_with(file, offset, hdf5_magic)) return true;
    return false;
}

std::string python(const std::string& code) {
    return "python3 -c \"import numpy; " + code + "\"";
}

/// What else the file is, and how to turn it into something that is read.
std::string other_format(const WatchedFile& file) {
    const std::string name = file.path().string();
    const std::string extension = file.path().extension().string();
    const std::string stem = file.path().stem().string();
    const std::string expected = ", where an .npy or HDF5 file was expected; ";
    if (starts_with(file, 0, "PK\x03\x04") && (extension == ".pt" || extension == ".pth"))
        return "it is a file of PyTorch" + expected + "save the tensor with numpy.save('" + stem +
               ".npy', tensor.numpy())";
    if (starts_with(file, 0, "PK\x03\x04") && extension == ".npz")
        return "it is an archive of arrays" + expected + "unpack it: " +
               python("z = numpy.load('" + name + "'); [numpy.save(k + '.npy', z[k]) for k in z.files]");
    if (starts_with(file, 0, "PK\x03\x04")) return "it is a zip archive" + expected + "unpack it first";
    if (starts_with(file, 0, "\x1f\x8b")) return "it is compressed" + expected + "unpack it with gunzip";
    if (extension == ".csv" || extension == ".tsv")
        return "it is a table of text" + expected + "convert it: " +
               python("numpy.save('" + stem + ".npy', numpy.loadtxt('" + name + "', delimiter='" +
                      (extension == ".tsv" ? "\\t" : ",") + "'))");
    if (extension == ".npy") return "it does not begin as an .npy file does; it is damaged";
    if (extension == ".h5" || extension == ".hdf5")
        return "it does not begin as an HDF5 file does; it is damaged";
    return "its format is unknown" + expected + "convert it with numpy.save";
}

}  // namespace

std::unique_ptr<Array> open_array(const std::string& text) {
    const Place place = split(text);
    const WatchedFile file(place.file);
    if (is_hdf5(file)) return open_hdf5(place.file, place.dataset);
    if (!starts_with(file, 0, npy_magic)) file.fail(other_format(file));
    if (!place.dataset.empty())
        file.fail("it is an .npy file, which holds one array; leave out '" + place.dataset + "'");
    return open_npy(place.file);
}

}  // namespace lockstep
