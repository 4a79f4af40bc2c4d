/// Puts .safetensors files together by hand, right ones and wrong ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::test {

/// Eight bytes, little-endian.
inline std::string length_prefix(std::uint64_t length) {
    std::string prefix(8, '\0');
    for (char& byte : prefix) {
        byte = static_cast<char>(length & 255);
        length >>= 8;
    }
    return prefix;
}

inline std::string file_text(std::string_view header, std::string_view data) {
    return length_prefix(header.size()).append(header).append(data);
}

}  // namespace lockstep::test
