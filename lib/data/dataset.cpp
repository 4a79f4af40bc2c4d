#include <lockstep/data/dataset.hpp>

#include <algorithm>
#include <vector>

namespace lockstep {

void Dataset::read_input(Index sample, float* values) const {
    std::vector<double> exact(static_cast<std::size_t>(input_shape().size()));
    read_input(sample, exact.data());
    std::ranges::transform(exact, values, [](double value) { return static_cast<float>(value); });
}

}  // namespace lockstep
