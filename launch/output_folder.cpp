#include "output_folder.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>

#include <fstream>
#include <iterator>
#include <system_error>

namespace lockstep::launch {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_make(const fs::path& path, const std::error_code& error) {
    throw FileError(path.string() + ": the output folder cannot be made: " + error.message());
}

}  // namespace

bool is_there(const fs::path& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (error == std::errc::filename_too_long) return false;  // nothing can be called so
    if (status.type() == fs::file_type::none)
        throw FileError(path.string() + ": cannot be looked at: " + error.message());
    return fs::exists(status);
}

void make_folder(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) fail_to_make(path, error);
}

fs::path make_fresh_folder(const std::string& name) {
    make_folder("runs");
    for (int number = 1;; ++number) {
        fs::path folder = fs::path("runs") / (number == 1 ? name : name + "-" + std::to_string(number));
        std::error_code error;
        if (fs::create_directory(folder, error)) return folder;
        if (error && !is_there(folder)) fail_to_make(folder, error);
    }
}

void write_if_changed(const fs::path& path, const std::string& text) {
    std::error_code error;
    if (fs::is_regular_file(path, error)) {
        std::ifstream stream(path, std::ios::binary);
        if (stream && std::string(std::istreambuf_iterator<char>(stream), {}) == text) return;
    }
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

}  // namespace lockstep::launch
