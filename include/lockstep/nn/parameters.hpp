/// The flat store: all parameters of a network in one aligned array, in layer order, and all running averages
/// in another. Layers hold views; whoever loops over parameters loops over one span.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/export.hpp>
#include <lockstep/base/paged_array.hpp>
#include <lockstep/base/shape.hpp>

#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace lockstep {

enum class ParameterKind { weight, bias, scale, shift };

/// One named array in a flat one. Names and shapes are those of torch.nn.Sequential: "0.weight" [out, in].
struct ParameterInfo {
    std::string name;
    std::vector<Index> shape;
    ParameterKind kind = ParameterKind::weight;
    Index offset = 0;
    Index size = 0;
    /// The axes of `shape` as they lie in memory, from the slowest to the fastest; empty where that is their
    /// own order. Files hold arrays in the order of `shape`: see to_file_order.
    std::vector<int> memory_order = {};

    Index end() const { return offset + size; }
};

/// Places arrays one after the other, each on a cache line of its own.
class LOCKSTEP_EXPORT ParameterLayout {
  public:
    /// Returns the offset of the new array in the flat array of parameters.
    Index add_parameter(std::string name, std::vector<Index> shape, ParameterKind kind,
                        std::vector<int> memory_order = {});
    /// Returns the offset of the new array in the flat array of running averages.
    Index add_average(std::string name, std::vector<Index> shape);

    std::span<const ParameterInfo> parameters() const { return parameters_; }
    std::span<const ParameterInfo> averages() const { return averages_; }
    /// Length of the flat arrays, padding (zeros) included.
    Index parameter_values() const { return parameter_values_; }
    Index average_values() const { return average_values_; }

  private:
    std::vector<ParameterInfo> parameters_, averages_;
    Index parameter_values_ = 0, average_values_ = 0;
};

/// Copies one array (info.size values each) from its order in memory to that of files, which is PyTorch's,
/// and back. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT void to_file_order(const ParameterInfo& info,
                                   std::span<const std::type_identity_t<Scalar>> memory,
                                   std::span<Scalar> file);
template <class Scalar>
LOCKSTEP_EXPORT void to_memory_order(const ParameterInfo& info,
                                     std::span<const std::type_identity_t<Scalar>> file,
                                     std::span<Scalar> memory);

/// The flat arrays themselves.
template <class Scalar>
struct ParameterStore {
    explicit ParameterStore(const ParameterLayout& layout)
        : parameters(layout.parameter_values()),
          averages(static_cast<std::size_t>(layout.average_values())) {}

    PagedArray<Scalar> parameters;  // in training the node's, which change in a step alone: see NodeArrays
    AlignedVector<Scalar> averages;
};

}  // namespace lockstep
