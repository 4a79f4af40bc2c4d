#include <lockstep/data/images.hpp>

#include <algorithm>

namespace lockstep {

void Images::read_input(Index index, double* values) const {
    std::copy_n(sample(index), shape.size(), values);
}

void Images::read_input(Index index, float* values) const {
    std::copy_n(sample(index), shape.size(), values);
}

void Images::read_target(Index index, double* values) const {
    *values = labels[static_cast<std::size_t>(index)];
}

}  // namespace lockstep
