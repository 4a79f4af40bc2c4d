#include <lockstep/nn/parameters.hpp>

#include <functional>
#include <numeric>
#include <utility>

namespace lockstep {
namespace {

Index append(std::vector<ParameterInfo>& list, Index& end, ParameterInfo info) {
    constexpr Index line = cache_line_bytes / sizeof(float);
    info.offset = end;
    info.size = std::accumulate(info.shape.begin(), info.shape.end(), Index{1}, std::multiplies<>());
    end = (info.end() + line - 1) / line * line;
    list.push_back(std::move(info));
    return list.back().offset;
}

/// Calls each(place in memory, place in a file) for every value of the array, in the order of memory.
template <class Each>
void for_each_place(const ParameterInfo& info, Each each) {
    const std::size_t axes = info.memory_order.size();
    std::vector<Index> file_steps(info.shape.size(), 1);
    for (std::size_t axis = info.shape.size(); axis-- > 1;)
        file_steps[axis - 1] = file_steps[axis] * info.shape[axis];
    std::vector<Index> position(axes, 0);
    for (Index in_memory = 0, in_file = 0; in_memory < info.size; ++in_memory) {
        each(in_memory, axes == 0 ? in_memory : in_file);
        for (std::size_t i = axes; i-- > 0;) {  // as an odometer
            const auto axis = static_cast<std::size_t>(info.memory_order[i]);
            in_file += file_steps[axis];
            if (++position[i] < info.shape[axis]) break;
            in_file -= position[i] * file_steps[axis];
            position[i] = 0;
        }
    }
}

}  // namespace

Index ParameterLayout::add_parameter(std::string name, std::vector<Index> shape, ParameterKind kind,
                                     std::vector<int> memory_order) {
    ParameterInfo info{std::move(name), std::move(shape), kind};
    info.memory_order = std::move(memory_order);
    return append(parameters_, parameter_values_, std::move(info));
}

Index ParameterLayout::add_average(std::string name, std::vector<Index> shape) {
    return append(averages_, average_values_, {std::move(name), std::move(shape), ParameterKind::shift});
}

template <class Scalar>
void to_file_order(const ParameterInfo& info, std::span<const std::type_identity_t<Scalar>> memory,
                   std::span<Scalar> file) {
    for_each_place(info, [&](Index in_memory, Index in_file) {
        file[static_cast<std::size_t>(in_file)] = memory[static_cast<std::size_t>(in_memory)];
    });
}

template <class Scalar>
void to_memory_order(const ParameterInfo& info, std::span<const std::type_identity_t<Scalar>> file,
                     std::span<Scalar> memory) {
    for_each_place(info, [&](Index in_memory, Index in_file) {
        memory[static_cast<std::size_t>(in_memory)] = file[static_cast<std::size_t>(in_file)];
    });
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                                     \
    template LOCKSTEP_EXPORT void to_file_order<Scalar>(const ParameterInfo&, std::span<const Scalar>,   \
                                                        std::span<Scalar>);                              \
    template LOCKSTEP_EXPORT void to_memory_order<Scalar>(const ParameterInfo&, std::span<const Scalar>, \
                                                          std::span<Scalar>)

LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
