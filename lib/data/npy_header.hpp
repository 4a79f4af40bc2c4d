/// The header of NumPy's .npy files, versions 1 to 3
/// (numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
///
///     "\x93NUMPY"  major  minor  length of the text (u16, from version 2 on u32; little endian)  text
///
/// The text is a Python dictionary, {'descr': '<f4', 'fortran_order': False, 'shape': (8000, 12), }, filled
/// up with spaces and ended by a newline. The values follow it.
#pragma once

#include "mapped_array.hpp"
#include "watched_file.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace lockstep {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// What the header at the start of the file says. Throws FileError if it is none, is damaged, announces
/// values that are not real numbers, or another number of bytes than the file holds.
ArrayLayout read_npy_header(const WatchedFile& file);

/// The header of a file in this processor's byte order and C order, padded to a multiple of 64 bytes.
std::string npy_header(ElementType element, const std::vector<Index>& extents);

}  // namespace lockstep
