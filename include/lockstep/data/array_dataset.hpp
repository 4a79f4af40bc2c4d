/// A data set of arrays in files: one of inputs, one of targets, row i of each being sample i.
///
/// Inputs of extents N or N×d are flat; N×h×w are grey images, N×h×w×c (or N×c×h×w, if said so) images. Whole numbers
/// N or N×1 as targets are classes, everything else values.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/array.hpp>
#include <lockstep/data/dataset.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// What targets are taken for.
enum class TargetKind {
    automatic,  ///< classes if they are whole numbers, one a sample
    classes,
    values,
};

struct ArrayDatasetOptions {
    bool channels_first = false;  ///< images are N×c×h×w in the file
    TargetKind targets = TargetKind::automatic;
    /// More than every label; std::nullopt: as many as the labels say, which are all read for that.
    std::optional<int> classes = std::nullopt;
};

/// Most classes that labels may tell apart.
inline constexpr int most_classes = 65536;

class LOCKSTEP_EXPORT ArrayDataset final : public Dataset {
  public:
    /// `targets` may be null: a data set without. Throws FileError if the arrays are not of one length, or cannot be
    /// what they are taken for: inputs of another number of dimensions, labels that are no whole numbers from 0 on.
    ArrayDataset(std::string name, std::shared_ptr<const Array> inputs, std::shared_ptr<const Array> targets,
                 const ArrayDatasetOptions& options = {});

    std::string name() const override { return name_; }
    Index size() const override { return inputs_->rows(); }
    Shape input_shape() const override { return shape_; }
    Target target() const override { return target_; }
    InputPrecision precision() const override;
    void read_input(Index sample, double* values) const override;
    void read_input(Index sample, float* values) const override;
    void read_target(Index sample, double* values) const override;
    void prefetch(Index first, Index count) const override;
    void check_unchanged() const override;

  private:
    template <class Value>
    void read_as(Index sample, Value* values) const;
    int largest_label() const;

    std::string name_;
    std::shared_ptr<const Array> inputs_, targets_;
    Shape shape_;
    Target target_;
    bool channels_first_;
};

/// Opens "inputs" or "inputs:targets", each an array as open_array takes it; "file.h5:/x:/y" are two of one file.
/// Throws UsageError if the text names no arrays, FileError as above.
LOCKSTEP_EXPORT std::shared_ptr<const Dataset> open_dataset(const std::string& text,
                                                            const ArrayDatasetOptions& options = {});

/// The arrays that such a text names: {"weather.h5:/x", "weather.h5:/y"}. Throws UsageError unless they are one or two.
LOCKSTEP_EXPORT std::vector<std::string> array_names(const std::string& text);

}  // namespace lockstep
