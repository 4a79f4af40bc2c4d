/// What the fuzzing targets share: a folder in memory for the files that readers take, and which exceptions are theirs.
#pragma once

#include <lockstep/base/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

namespace lockstep::fuzz {

using Bytes = std::span<const std::uint8_t>;

/// One for the process: in the folder that LOCKSTEP_FUZZ_FOLDER names, which is for its owner to remove, or in one of its
/// own, which it leaves if libFuzzer ends it.
class Scratch {
  public:
    static const Scratch& folder() {
        static const Scratch scratch;
        return scratch;
    }

    /// Writes a file of that name, and returns its path.
    std::filesystem::path file(const std::string& name, Bytes content) const {
        const std::filesystem::path path = path_ / name;
        const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (descriptor < 0 ||
            ::write(descriptor, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
            std::abort();
        ::close(descriptor);
        return path;
    }
    const std::filesystem::path& path() const { return path_; }

  private:
    Scratch() {
        const char* const above = std::getenv("LOCKSTEP_FUZZ_FOLDER");
        std::string name = std::string(above != nullptr ? above : "/tmp") + "/lockstep-fuzz-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }

    std::filesystem::path path_;
};

/// Any input may be refused, with an error of Lockstep's that says something. Any other exception ends the target.
template <class Read>
void may_refuse(Read&& read) {
    try {
        read();
    } catch (const Error& error) {
        if (std::string(error.what()).empty()) std::abort();
    }
}

/// Cuts the input in two: its first two bytes say where.
inline std::array<Bytes, 2> in_two(Bytes all) {
    if (all.size() < 2) return {all, {}};
    const std::size_t rest = all.size() - 2;
    const std::size_t first = std::min<std::size_t>(all[0] + 256U * all[1], rest);
    return {all.subspan(2, first), all.subspan(2 + first)};
}

}  // namespace lockstep::fuzz
