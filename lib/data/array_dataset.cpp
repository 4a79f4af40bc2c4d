#include <lockstep/data/array_dataset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

namespace lockstep {
namespace {

Shape shape_of(const Array& inputs, bool channels_first) {
    const std::vector<Index>& extents = inputs.extents();
    switch (extents.size()) {
        case 1:
            return Shape::dense(1);
        case 2:
            return Shape::dense(extents[1]);
        case 3:
            return {extents[1], extents[2], 1};
        case 4:
            if (channels_first) return {extents[2], extents[3], extents[1]};
            return {extents[1], extents[2], extents[3]};
        default:
            throw FileError(inputs.describe() +
                            ": inputs are N, N x features, N x height x width, or N x height x "
                            "width x channels");
    }
}

bool holds_whole_numbers(const Array& array) {
    switch (array.element()) {
        case ElementType::f32:
        case ElementType::f64:
        case ElementType::boolean:
            return false;
        default:
            return true;
    }
}

bool are_classes(const Array& targets, TargetKind kind) {
    if (kind == TargetKind::classes && targets.row_size() != 1)
        throw FileError(targets.describe() + ": classes are one number a sample, N or N x 1");
    if (kind != TargetKind::automatic) return kind == TargetKind::classes;
    return targets.row_size() == 1 && holds_whole_numbers(targets);
}

/// Whether a part of "a:b:c" names a data set in the file before it.
bool is_inside(const std::string& file, const std::string& part) {
    return part.starts_with('/') && !file.empty() && !file.ends_with(".npy") && !part.ends_with(".npy");
}

}  // namespace

ArrayDataset::ArrayDataset(std::string name, std::shared_ptr<const Array> inputs,
                           std::shared_ptr<const Array> targets, const ArrayDatasetOptions& options)
    : name_(std::move(name)),
      inputs_(std::move(inputs)),
      targets_(std::move(targets)),
      shape_(shape_of(*inputs_, options.channels_first)),
      channels_first_(options.channels_first && inputs_->extents().size() == 4 && shape_.channels > 1) {
    if (!targets_) return;
    if (targets_->rows() != inputs_->rows())
        throw FileError(targets_->describe() + ", but " + inputs_->describe() +
                        ": inputs and targets must be of one length");
    if (!are_classes(*targets_, options.targets)) {
        if (options.classes)
            throw UsageError("classes is " + std::to_string(*options.classes) + ", but " +
                             targets_->describe() +
                             " are values to predict: leave it out, or choose loss "
                             "cross-entropy");
        target_.values = targets_->row_size();
        return;
    }
    if (options.classes && (*options.classes < 1 || *options.classes > most_classes))
        throw UsageError("classes is " + std::to_string(*options.classes) + "; it must be from 1 to " +
                         std::to_string(most_classes));
    target_.classes = options.classes ? *options.classes : largest_label() + 1;
}

int ArrayDataset::largest_label() const {
    double largest = 0;
    constexpr Index ahead = 1 << 16;
    for (Index i = 0; i < targets_->rows(); ++i) {
        double label = 0;
        if (i % ahead == 0) targets_->prefetch(i, std::min(ahead, targets_->rows() - i));
        targets_->read_row(i, &label);
        if (!(label >= 0 && label < most_classes && label == std::floor(label)))
            throw FileError(targets_->name() + ": the label of sample " + std::to_string(i) + " is " +
                            shortest_text(label) + ", where classes are whole numbers from 0 to " +
                            std::to_string(most_classes - 1) +
                            "; if these are values to predict, choose a loss for values, such as mse");
        largest = std::max(largest, label);
    }
    targets_->verify();
    return static_cast<int>(largest);
}

InputPrecision ArrayDataset::precision() const {
    if (inputs_->element() == ElementType::u8) return InputPrecision::byte;
    return inputs_->exact_in_float() ? InputPrecision::float_values : InputPrecision::double_values;
}

template <class Value>
void ArrayDataset::read_as(Index sample, Value* values) const {
    if (!channels_first_) return inputs_->read_row(sample, values);
    std::vector<Value> planes(static_cast<std::size_t>(shape_.size()));
    inputs_->read_row(sample, planes.data());
    const auto pixels = static_cast<std::size_t>(shape_.pixels()),
               channels = static_cast<std::size_t>(shape_.channels);
    for (std::size_t channel = 0; channel < channels; ++channel)
        for (std::size_t pixel = 0; pixel < pixels; ++pixel)
            values[pixel * channels + channel] = planes[channel * pixels + pixel];
}

void ArrayDataset::read_input(Index sample, double* values) const {
    read_as(sample, values);
}
void ArrayDataset::read_input(Index sample, float* values) const {
    read_as(sample, values);
}

void ArrayDataset::read_target(Index sample, double* values) const {
    if (targets_) targets_->read_row(sample, values);
}

void ArrayDataset::prefetch(Index first, Index count) const {
    inputs_->prefetch(first, count);
    if (targets_) targets_->prefetch(first, count);
}

void ArrayDataset::check_unchanged() const {
    inputs_->verify();
    if (targets_) targets_->verify();
}

std::vector<std::string> array_names(const std::string& text) {
    std::vector<std::string> names;
    std::string file;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(':', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        if (part.empty())
            throw UsageError("'" + text +
                             "' is no data: name inputs and targets, as in x.npy:y.npy or file.h5:/x:/y");
        if (is_inside(file, part)) {
            if (!names.empty() && names.back() == file) names.pop_back();
            names.push_back(file + ":" + part);
        } else {
            file = part;
            names.push_back(part);
        }
        begin = end + 1;
    }
    if (names.size() > 2)
        throw UsageError("'" + text + "' names " + std::to_string(names.size()) +
                         " arrays: there are one of inputs and one of targets");
    return names;
}

std::shared_ptr<const Dataset> open_dataset(const std::string& text, const ArrayDatasetOptions& options) {
    const std::vector<std::string> names = array_names(text);
    std::shared_ptr<const Array> inputs = open_array(names[0]), targets;
    if (names.size() == 2) targets = open_array(names[1]);
    const std::size_t inside = std::min(names[0].find(":/"), names[0].size());
    const std::string file = std::filesystem::path(names[0].substr(0, inside)).filename().string();
    return std::make_shared<ArrayDataset>(file + names[0].substr(inside), std::move(inputs),
                                          std::move(targets), options);
}

}  // namespace lockstep
