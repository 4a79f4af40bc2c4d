/// Labelled images in memory, as the bytes that files hold.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/dataset.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct LOCKSTEP_EXPORT Images final : Dataset {
    std::string title;
    Shape shape;
    int classes = 0;
    std::vector<std::uint8_t> pixels;  // size() × shape.size(), channels-last
    std::vector<std::uint8_t> labels;  // size(), each below `classes`

    std::string name() const override { return title; }
    Index size() const override { return static_cast<Index>(labels.size()); }
    Shape input_shape() const override { return shape; }
    Target target() const override { return {.classes = classes}; }
    InputPrecision precision() const override { return InputPrecision::byte; }
    void read_input(Index sample, double* values) const override;
    void read_input(Index sample, float* values) const override;
    void read_target(Index sample, double* values) const override;

    /// The shape.size() bytes of one sample; valid until the data set changes.
    const std::uint8_t* sample(Index index) const { return pixels.data() + index * shape.size(); }
};

}  // namespace lockstep
