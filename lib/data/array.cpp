#include <lockstep/data/array.hpp>

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace lockstep {

std::string_view to_string(ElementType element) {
    switch (element) {
        case ElementType::u8:
            return "uint8";
        case ElementType::i8:
            return "int8";
        case ElementType::u16:
            return "uint16";
        case ElementType::i16:
            return "int16";
        case ElementType::u32:
            return "uint32";
        case ElementType::i32:
            return "int32";
        case ElementType::u64:
            return "uint64";
        case ElementType::i64:
            return "int64";
        case ElementType::f32:
            return "float32";
        case ElementType::f64:
            return "float64";
        case ElementType::boolean:
            return "bool";
    }
    return "unknown";
}

Index size_of(ElementType element) {
    switch (element) {
        case ElementType::u8:
        case ElementType::i8:
        case ElementType::boolean:
            return 1;
        case ElementType::u16:
        case ElementType::i16:
            return 2;
        case ElementType::u32:
        case ElementType::i32:
        case ElementType::f32:
            return 4;
        case ElementType::u64:
        case ElementType::i64:
        case ElementType::f64:
            return 8;
    }
    return 0;
}

std::string extents_to_string(const std::vector<Index>& extents) {
    std::string text;
    for (const Index extent : extents) text += (text.empty() ? "" : "x") + std::to_string(extent);
    return text;
}

Array::Array(std::string name, ElementType element, std::vector<Index> extents)
    : name_(std::move(name)), element_(element), extents_(std::move(extents)) {
    if (extents_.empty())
        throw FileError(name_ + ": it holds a single value, where an array of rows was expected");
    if (std::ranges::any_of(extents_, [](Index extent) { return extent < 1; }))
        throw FileError(name_ + ": it holds no values (its extents are " + extents_to_string(extents_) +
                        "), where at least one row was expected");
    Index room = std::numeric_limits<Index>::max() / size_of(element_);
    for (const Index extent : extents_) room /= extent;
    if (room == 0)
        throw FileError(name_ + ": its extents " + extents_to_string(extents_) +
                        " are more than any file can hold; it is damaged");
    for (std::size_t i = 1; i < extents_.size(); ++i) row_size_ *= extents_[i];
}

bool Array::exact_in_float() const {
    switch (element_) {
        case ElementType::u8:
        case ElementType::i8:
        case ElementType::u16:
        case ElementType::i16:
        case ElementType::f32:
        case ElementType::boolean:
            return true;
        default:
            return false;
    }
}

std::string Array::describe() const {
    return name_ + ": " + extents_to_string(extents_) + " of " + std::string(to_string(element_));
}

void Array::prefetch(Index, Index) const {}

void Array::check_row(Index row) const {
    if (row < 0 || row >= rows())
        throw UsageError(name_ + ": there is no row " + std::to_string(row) + "; it has rows 0 to " +
                         std::to_string(rows() - 1));
}

}  // namespace lockstep
