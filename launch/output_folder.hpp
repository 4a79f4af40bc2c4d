/// What the folders of runs and of studies have in common: how they are made, and what is there.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep::launch {

/// Throws FileError if that cannot be known, as in a folder that may not be entered.
bool is_there(const std::filesystem::path& path);

/// Makes a folder and those above it. Throws FileError.
void make_folder(const std::filesystem::path& path);
/// runs/NAME, or the first of runs/NAME-2, -3, … that is not there; makes it, so that nobody else gets it.
std::filesystem::path make_fresh_folder(const std::string& name);

/// Writes the file unless it holds that text already.
void write_if_changed(const std::filesystem::path& path, const std::string& text);

}  // namespace lockstep::launch
