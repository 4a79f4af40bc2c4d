/// Opening an array and reading of it what a training would.
#pragma once

#include "scratch.hpp"

#include <lockstep/data/array.hpp>

#include <vector>

namespace lockstep::fuzz {

/// What a file of a few kilobytes may announce: a file of holes, compressed or chunked, can be larger than its bytes.
inline constexpr Index most_values = Index{1} << 20;

inline void read_some_rows(const Array& array) {
    if (array.row_size() > most_values) return;
    std::vector<float> singles(static_cast<std::size_t>(array.row_size()));
    std::vector<double> doubles(singles.size());
    array.prefetch(0, array.rows());
    for (const Index row : {Index{0}, array.rows() / 2, array.rows() - 1}) {
        array.read_row(row, singles.data());
        array.read_row(row, doubles.data());
    }
    array.verify();
}

}  // namespace lockstep::fuzz
