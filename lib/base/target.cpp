#include <lockstep/base/target.hpp>

namespace lockstep {

std::string Target::to_string() const {
    if (classes > 0) return "in " + std::to_string(classes) + (classes == 1 ? " class" : " classes");
    if (values > 0)
        return "with " + std::to_string(values) + (values == 1 ? " target value" : " target values");
    return "without targets";
}

}  // namespace lockstep
