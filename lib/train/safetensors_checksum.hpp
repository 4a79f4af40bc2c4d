/// The checksums of a .safetensors file that Lockstep has written: two entries of its metadata.
///
///     lockstep.tensor_checksums   of the bytes of each tensor, in the order of their data, with a space between
///     lockstep.checksum           of all that the header says: names, types, shapes, sizes, and all other metadata
///
/// Both are Hash64, so no change of a single byte of a tensor goes unnoticed. The second is of what the header means
/// and not of its text: a program that writes the same in other words does not damage the file.
#pragma once

#include <lockstep/train/safetensors.hpp>

#include <map>
#include <span>
#include <string>

namespace lockstep {

using Metadata = std::map<std::string, std::string>;

/// `entries` in the order of their data.
void add_checksums(std::span<const TensorEntry* const> entries, Metadata& metadata);

/// Checks them, and takes them out of the metadata. Returns what is damaged, empty if nothing is or the file has none.
std::string find_damage(std::span<const TensorEntry* const> entries, Metadata& metadata);

}  // namespace lockstep
