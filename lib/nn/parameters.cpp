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

}  // namespace

Index ParameterLayout::add_parameter(std::string name, std::vector<Index> shape, ParameterKind kind) {
    return append(parameters_, parameter_values_, {std::move(name), std::move(shape), kind});
}

Index ParameterLayout::add_average(std::string name, std::vector<Index> shape) {
    return append(averages_, average_values_, {std::move(name), std::move(shape), ParameterKind::shift});
}

}  // namespace lockstep
