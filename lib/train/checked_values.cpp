#include "checked_values.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lockstep {
namespace {

/// "[2, 0, 7]": where the value at `position` stands in a row-major array.
std::string place_of(Index position, std::span<const Index> shape) {
    std::vector<Index> place(shape.size());
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        place[axis] = position % shape[axis];
        position /= shape[axis];
    }
    return shape_to_string(place);
}

/// What is wrong with the value at `position`, as the file holds it.
std::string fault(const SafetensorsFile& file, const std::string& name, std::span<const Index> shape,
                  Index position, std::size_t count, ValueRange range) {
    std::vector<double> stored(count);
    file.copy_to(name, shape, std::span(stored));
    const double value = stored[static_cast<std::size_t>(position)];
    const std::string where = shortest_text(value) + " at " + place_of(position, shape);
    if (!std::isfinite(value)) return where + ", where only finite numbers make sense";
    if (range == ValueRange::finite_and_not_negative && value < 0)
        return where + ", where nothing negative makes sense";
    return where + ", which is beyond what single precision holds";
}

}  // namespace

template <class Scalar>
void read_checked(const SafetensorsFile& file, const std::string& name, std::span<const Index> shape,
                  std::span<Scalar> values, ValueRange range) {
    file.copy_to(name, shape, values);
    const bool sign = range == ValueRange::finite;
    const auto bad = std::ranges::find_if_not(
        values, [&](Scalar value) { return std::isfinite(value) && (sign || value >= 0); });
    if (bad == values.end()) return;
    throw FileError(file.path().string() + ": tensor '" + name + "' holds " +
                    fault(file, name, shape, bad - values.begin(), values.size(), range) +
                    "; the file is damaged, or what was saved had diverged: use an earlier one");
}

template void read_checked(const SafetensorsFile&, const std::string&, std::span<const Index>,
                           std::span<float>, ValueRange);
template void read_checked(const SafetensorsFile&, const std::string&, std::span<const Index>,
                           std::span<double>, ValueRange);

}  // namespace lockstep
