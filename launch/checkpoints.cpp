#include "checkpoints.hpp"

#include "output_folder.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

/// The one that is `age` checkpoints older than the newest.
fs::path path_of_age(const fs::path& folder, Index age) {
    if (age == 0) return checkpoint_path(folder);
    return folder / ("checkpoint-previous" + (age == 1 ? "" : "-" + std::to_string(age)) + ".safetensors");
}

void move_file(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::rename(from, to, error);
    if (error)
        throw FileError(from.string() + ": cannot be renamed to " + to.filename().string() + ": " +
                        error.message());
}

/// Gives the newest its second name. It keeps the first until the next one takes that, so that there is always one.
void copy_name(const fs::path& newest, const fs::path& previous) {
    std::error_code error;
    fs::remove(previous, error);
    fs::create_hard_link(newest, previous, error);
    if (error) move_file(newest, previous);  // a file system without such links
}

void make_room(const fs::path& folder, Index keep) {
    if (keep == 1 || !is_there(checkpoint_path(folder))) return;
    for (Index age = keep - 1; age > 1; --age)
        if (is_there(path_of_age(folder, age - 1)))
            move_file(path_of_age(folder, age - 1), path_of_age(folder, age));
    copy_name(checkpoint_path(folder), path_of_age(folder, 1));
}

std::string instruction_set_of(const SafetensorsFile& file) {
    const auto found = file.metadata().find("lockstep.instruction_set");
    return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

fs::path checkpoint_path(const fs::path& folder) {
    return folder / "checkpoint.safetensors";
}

fs::path next_checkpoint_path(const fs::path& folder) {
    return folder / "checkpoint-next.safetensors";
}

std::vector<fs::path> checkpoints_in(const fs::path& folder) {
    std::vector<fs::path> found;
    if (is_there(checkpoint_path(folder))) found.push_back(checkpoint_path(folder));
    for (Index age = 1; is_there(path_of_age(folder, age)); ++age) found.push_back(path_of_age(folder, age));
    return found;
}

CheckpointChoice choose_checkpoint(const fs::path& folder) {
    const std::vector<fs::path> all = checkpoints_in(folder);
    std::string note;
    if (all.front() != checkpoint_path(folder)) note = checkpoint_path(folder).string() + " is missing";
    for (const fs::path& path : all) {
        try {
            const SafetensorsFile file = SafetensorsFile::read(path);
            if (!note.empty()) note += ": goes on from " + path.filename().string() + ", the one before";
            return {path, instruction_set_of(file), note};
        } catch (const FileError& error) {
            note += (note.empty() ? "" : "; ") + std::string(error.what());
        }
    }
    return {all.front(), "", ""};
}

void adopt_next_checkpoint(const fs::path& folder, Index keep) {
    make_room(folder, keep);
    move_file(next_checkpoint_path(folder), checkpoint_path(folder));
    std::error_code error;
    for (Index age = keep; fs::remove(path_of_age(folder, age), error); ++age) {
    }
}

void put_damaged_aside(const fs::path& folder, const fs::path& chosen) {
    for (const fs::path& path : checkpoints_in(folder)) {
        if (path == chosen) return;
        move_file(path, folder / "checkpoint-damaged.safetensors");
    }
}

}  // namespace lockstep::launch
