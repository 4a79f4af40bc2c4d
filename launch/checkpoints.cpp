#include "checkpoints.hpp"

#include "output_folder.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/train/safetensors.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".safetensors", newest = "checkpoint", previous = "-previous";

/// What follows "checkpoint" in the name of the one that is `age` checkpoints older than the newest.
std::string name_of_age(Index age) {
    if (age == 0) return "";
    return std::string(previous) + (age == 1 ? "" : "-" + std::to_string(age));
}

fs::path path_of_age(const fs::path& folder, Index age) {
    return folder / (std::string(newest) + name_of_age(age) + std::string(suffix));
}

/// The age of a file of this name, if it is a checkpoint's.
std::optional<Index> age_of(std::string_view name) {
    if (!name.starts_with(newest) || !name.ends_with(suffix)) return std::nullopt;
    name = name.substr(newest.size(), name.size() - newest.size() - suffix.size());
    if (name.empty()) return 0;
    if (name == previous) return 1;
    Index age = 0;
    const std::size_t number = name.rfind('-') + 1;
    std::from_chars(name.data() + number, name.data() + name.size(), age);
    return age > 1 && name == name_of_age(age) ? std::optional(age) : std::nullopt;
}

/// From the newest on. Some between may be missing: a process was killed, or somebody removed them.
std::vector<Index> ages_in(const fs::path& folder) {
    std::vector<Index> ages;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (const auto age = age_of(entry->path().filename().string())) ages.push_back(*age);
    // Where there is no folder there are none; where it cannot be listed, nobody knows.
    if (error && is_there(folder / "."))
        throw FileError(folder.string() + ": cannot be looked at: " + error.message());
    std::ranges::sort(ages);
    return ages;
}

void move_file(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::rename(from, to, error);
    if (error)
        throw FileError(from.string() + ": cannot be renamed to " + to.filename().string() + ": " +
                        error.message());
}

/// Gives the newest its second name. It keeps the first until the next one takes that, so that there is always one.
void copy_name(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::remove(to, error);
    fs::create_hard_link(from, to, error);
    if (error) move_file(from, to);  // a file system without such links
}

/// Those between the newest and the first age that nobody has grow older by one.
void make_room(const fs::path& folder, Index keep) {
    const std::vector<Index> ages = ages_in(folder);
    if (keep == 1 || ages.empty() || ages.front() != 0) return;
    Index unused = 1;
    while (unused < std::ssize(ages) && ages[static_cast<std::size_t>(unused)] == unused) ++unused;
    for (Index age = std::min(unused, keep - 1); age > 1; --age)
        move_file(path_of_age(folder, age - 1), path_of_age(folder, age));
    copy_name(checkpoint_path(folder), path_of_age(folder, 1));
}

std::string instruction_set_of(const SafetensorsFile& file) {
    const auto found = file.metadata().find("lockstep.instruction_set");
    return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

fs::path checkpoint_path(const fs::path& folder) {
    return path_of_age(folder, 0);
}

fs::path next_checkpoint_path(const fs::path& folder) {
    return folder / "checkpoint-next.safetensors";
}

std::vector<fs::path> checkpoints_in(const fs::path& folder) {
    std::vector<fs::path> found;
    for (const Index age : ages_in(folder)) found.push_back(path_of_age(folder, age));
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
    std::error_code ignored;  // one too many does no harm
    for (const Index age : ages_in(folder))
        if (age >= keep) fs::remove(path_of_age(folder, age), ignored);
    flush_folder(folder);  // after a power cut it would still be called the next one, which is thrown away
}

void put_damaged_aside(const fs::path& folder, const fs::path& chosen) {
    for (const Index age : ages_in(folder)) {
        const fs::path path = path_of_age(folder, age);
        if (path == chosen) return;
        move_file(path, folder / ("checkpoint-damaged" + name_of_age(age) + std::string(suffix)));
    }
}

}  // namespace lockstep::launch
