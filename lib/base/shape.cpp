#include <lockstep/base/shape.hpp>

namespace lockstep {

std::string Shape::to_string() const {
    if (pixels() == 1) return std::to_string(channels);
    return std::to_string(height) + "x" + std::to_string(width) + "x" + std::to_string(channels);
}

}  // namespace lockstep
