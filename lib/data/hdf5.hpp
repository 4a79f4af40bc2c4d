/// Reading HDF5 data sets through HDF5's own C library, if this build has it.
#pragma once

#include <lockstep/data/array.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace lockstep {

/// `dataset` is a path within the file, such as "/group/x"; none is an error that lists what there is. Throws
/// FileError if it cannot be read as an array, or this build has no HDF5.
std::unique_ptr<Array> open_hdf5(const std::filesystem::path& path, const std::string& dataset);

}  // namespace lockstep
