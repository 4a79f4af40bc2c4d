/// Integers of JSON that others have written. nlohmann's `get` converts what stands there as C++ does, so 1.5 becomes 1,
/// 1e45 anything, and a number beyond the type another one.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace lockstep {

/// The integer that `value`, some JSON of nlohmann's, is. Throws std::out_of_range, which says what stands there, if it
/// is none or not within Integer.
template <class Integer, class Json>
Integer json_integer(const Json& value) {
    if (value.is_number_unsigned()) {
        const auto held = value.template get<typename Json::number_unsigned_t>();
        if (std::in_range<Integer>(held)) return static_cast<Integer>(held);
    } else if (value.is_number_integer()) {
        const auto held = value.template get<typename Json::number_integer_t>();
        if (std::in_range<Integer>(held)) return static_cast<Integer>(held);
    }
    throw std::out_of_range((value.is_number() ? value.dump() : std::string(value.type_name())) +
                            " stands where an integer was expected");
}

}  // namespace lockstep
