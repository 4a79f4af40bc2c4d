#include "options.hpp"

#include "handles.hpp"

#include <algorithm>
#include <cstring>
#include <span>

using namespace lockstep;
using namespace lockstep::c_interface;

namespace lockstep::c_interface {
namespace {

constexpr auto known_size = static_cast<std::int64_t>(sizeof(lockstep_batch_norm_options));
// More than the struct will ever have. What a caller has forgotten to set is most likely beyond it, and is not to
// make us read beyond the caller's memory.
constexpr std::int64_t largest_size = 1024;

}  // namespace

void require_options_size(std::int64_t size) {
    const auto alignment = static_cast<std::int64_t>(alignof(lockstep_batch_norm_options));
    if (size < static_cast<std::int64_t>(sizeof size) || size > largest_size || size % alignment != 0)
        throw UsageError("options of batch norm: " + std::to_string(size) +
                         " is no size of this struct: set it by lockstep_batch_norm_default_options with "
                         "sizeof(lockstep_batch_norm_options)");
}

lockstep_batch_norm_options default_options() {
    const BatchNormOptions defaults;
    lockstep_batch_norm_options options{};
    options.size = known_size;
    options.epsilon = defaults.epsilon;
    options.momentum = *defaults.momentum;
    options.affine = defaults.affine ? 1 : 0;
    options.track_running_averages = defaults.track_running_averages ? 1 : 0;
    options.activation = LOCKSTEP_ACTIVATION_NONE;
    return options;
}

lockstep_batch_norm_options known_options(const lockstep_batch_norm_options* options) {
    lockstep_batch_norm_options known = default_options();
    if (options == nullptr) return known;
    const std::int64_t size = options->size;
    require_options_size(size);
    const auto* const bytes = reinterpret_cast<const unsigned char*>(options);
    const std::span given(bytes, static_cast<std::size_t>(size));
    const std::size_t shared = std::min(given.size(), sizeof known);
    std::memcpy(&known, given.data(), shared);
    known.size = known_size;
    if (std::ranges::any_of(given.subspan(shared), [](unsigned char byte) { return byte != 0; }))
        throw UsageError(
            "options of batch norm: the program sets an option that this version of the library, " +
            std::string(lockstep_version()) + ", does not know: link the version that it was compiled with");
    return known;
}

BatchNormOptions layer_options(const lockstep_batch_norm_options& options) {
    if (options.reserved != 0)
        throw UsageError(
            "options of batch norm: what is reserved must be 0: get the defaults by "
            "lockstep_batch_norm_default_options first");
    if (options.activation != LOCKSTEP_ACTIVATION_NONE && options.activation != LOCKSTEP_ACTIVATION_RELU)
        throw UsageError("options of batch norm: unknown activation " + std::to_string(options.activation) +
                         "; choose LOCKSTEP_ACTIVATION_NONE or LOCKSTEP_ACTIVATION_RELU");
    BatchNormOptions result;
    result.epsilon = options.epsilon;
    result.activation = options.activation == LOCKSTEP_ACTIVATION_RELU ? Activation::relu : Activation::none;
    if (options.cumulative != 0)
        result.momentum = std::nullopt;
    else
        result.momentum = options.momentum;
    result.affine = options.affine != 0;
    result.track_running_averages = options.track_running_averages != 0;
    result.frozen = options.frozen != 0;
    if (options.name != nullptr) result.name = options.name;
    return result;
}

ReplicaPlacement placement_of(std::int32_t replicas, std::int32_t group) {
    ReplicaPlacement placement;
    if (replicas != 0) placement.replicas = replicas;
    if (group != 0) placement.group = group;
    return placement;
}

}  // namespace lockstep::c_interface

int lockstep_batch_norm_default_options(lockstep_batch_norm_options* options, int64_t size) {
    return guarded([&] {
        deref(options, "the place for the options");
        require_options_size(size);
        lockstep_batch_norm_options defaults = default_options();
        defaults.size = size;
        std::memset(static_cast<void*>(options), 0, static_cast<std::size_t>(size));
        std::memcpy(static_cast<void*>(options), &defaults,
                    std::min(static_cast<std::size_t>(size), sizeof defaults));
    });
}
