#include "written_rows.hpp"

#include <lockstep/base/error.hpp>

#include <limits>
#include <utility>

namespace lockstep {

void check_written_array(const std::string& name, ElementType element, const std::vector<Index>& extents) {
    if (element != ElementType::f32 && element != ElementType::f64 && element != ElementType::i64)
        throw UsageError(name + ": arrays of " + std::string(to_string(element)) +
                         " are not written; choose float32, float64 or int64");
    if (extents.empty()) throw UsageError(name + ": an array that is written needs at least one extent");
    Index room = std::numeric_limits<Index>::max() / size_of(element);
    for (std::size_t i = 0; i < extents.size(); ++i) {
        if (extents[i] < (i == 0 ? 0 : 1))
            throw UsageError(name + ": an array cannot have the extents " + extents_to_string(extents));
        if (extents[i] > 0) room /= extents[i];
    }
    if (room == 0) throw UsageError(name + ": " + extents_to_string(extents) + " values fit into no file");
}

WrittenRows::WrittenRows(std::string file, ElementType type, const std::vector<Index>& extents)
    : name(std::move(file)), element(type), rows(extents.front()) {
    for (std::size_t i = 1; i < extents.size(); ++i) row_size *= extents[i];
}

Index WrittenRows::check(Index first, ElementType type, std::size_t count) const {
    if (type != element)
        throw UsageError(name + ": it is to hold " + std::string(to_string(element)) + ", but was given " +
                         std::string(to_string(type)));
    const auto values = static_cast<Index>(count);
    if (values % row_size != 0)
        throw UsageError(name + ": " + std::to_string(values) + " values are no whole number of rows of " +
                         std::to_string(row_size));
    const Index given = values / row_size;
    if (first < 0 || first > rows || given > rows - first)
        throw UsageError(name + ": rows " + std::to_string(first) + " to " +
                         std::to_string(first + given - 1) + " do not lie within its " +
                         std::to_string(rows) + " rows");
    return given;
}

}  // namespace lockstep
