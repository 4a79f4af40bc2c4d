/// The checkpoints of a run folder: the newest, and those before it.
///
///     checkpoint.safetensors               the newest
///     checkpoint-previous.safetensors      the one before
///     checkpoint-previous-2.safetensors    … and so on
///     checkpoint-damaged.safetensors       one that a run could not go on from, if there ever was one; -damaged-previous
///                                          and so on if the ones before were no better
#pragma once

#include <lockstep/base/shape.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::launch {

/// The newest one.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder);
/// Where the next one is written, until it is complete.
std::filesystem::path next_checkpoint_path(const std::filesystem::path& folder);

/// Those that are there, from the newest on. Throws FileError if that cannot be known.
std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& folder);

struct CheckpointChoice {
    std::filesystem::path path;
    std::string instruction_set;  ///< that it was computed with; empty if it does not say so
    std::string note;             ///< what is wrong with newer ones, in one line; empty if nothing
};

/// The newest that is as it was written; the newest of all if none is. There must be one.
CheckpointChoice choose_checkpoint(const std::filesystem::path& folder);

/// Makes the one that has been written the newest, and keeps `keep` in all. Throws FileError.
void adopt_next_checkpoint(const std::filesystem::path& folder, Index keep);

/// Puts those aside that are newer than `chosen`, so that they do not take the place of sound ones. Throws FileError.
void put_damaged_aside(const std::filesystem::path& folder, const std::filesystem::path& chosen);

}  // namespace lockstep::launch
