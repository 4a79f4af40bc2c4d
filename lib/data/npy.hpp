/// Reading NumPy's .npy files in place.
#pragma once

#include <lockstep/data/array.hpp>

#include <filesystem>
#include <memory>

namespace lockstep {

/// Throws FileError if it is no .npy file that can be read (see npy_header.hpp).
std::unique_ptr<Array> open_npy(const std::filesystem::path& path);

}  // namespace lockstep
