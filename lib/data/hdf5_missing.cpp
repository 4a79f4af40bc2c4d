// In place of all that needs HDF5, in a build without it.
#include "hdf5.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/data/array_writer.hpp>

namespace lockstep {
namespace {

constexpr const char* how_to_get_it =
    "this build of Lockstep has no HDF5; install its C library (libhdf5-dev on Debian and Ubuntu) and build "
    "again with -DLOCKSTEP_HDF5=ON, or ";

}  // namespace

bool has_hdf5() {
    return false;
}

std::unique_ptr<Array> open_hdf5(const std::filesystem::path& path, const std::string& dataset) {
    const std::string name = dataset.empty() ? "/NAME" : dataset;
    throw FileError(path.string() + ": " + how_to_get_it +
                    "convert the file: python3 -c \"import h5py, numpy; " +
                    "numpy.save('array.npy', h5py.File('" + path.string() + "')['" + name + "'])\"");
}

struct Hdf5Writer::File {};

Hdf5Writer::Hdf5Writer(const std::filesystem::path& target, const std::string&, ElementType,
                       const std::vector<Index>&) {
    throw FileError(target.string() + ": " + how_to_get_it + "write an .npy file");
}
Hdf5Writer::~Hdf5Writer() = default;
void Hdf5Writer::append(std::span<const float>) {}
void Hdf5Writer::append(std::span<const double>) {}
void Hdf5Writer::append(std::span<const std::int64_t>) {}
void Hdf5Writer::commit() {}

}  // namespace lockstep
