/// A network's parameters and running averages in a .safetensors file, by the names and shapes that
/// torch.nn.Sequential gives the same stack, so that they load on either side.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// What checkpoints hold beside the weights has names that begin with this.
inline constexpr std::string_view optimizer_prefix = "optimizer.";

/// Adds all parameters, running averages and num_batches_tracked counters; the network must live, unchanged,
/// until the file is written. Where a layer has seen batches without a variance, the metadata say how many.
/// Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT void add_weights(const Network<Scalar>& network, SafetensorsWriter& writer);

struct LoadOptions {
    /// Takes what fits, and leaves the network as it is elsewhere; otherwise what does not fit is an error.
    bool partial = false;
};

/// What became of the tensors of a file.
struct LoadReport {
    struct OtherShape {
        std::string name;
        std::vector<Index> in_file, in_model;
    };

    /// Taken off all names: "module.", which torch.nn.DataParallel puts before them. Empty if there was none.
    std::string prefix;
    /// Not in the file, and set to what their absence means: the counter num_batches_tracked to 0; weight and
    /// bias of a batch norm that has its running averages in the file and learned neither, to 1 and 0.
    std::vector<std::string> assumed;

    // What a partial load left alone.
    std::vector<std::string> missing;      ///< of the model, not in the file
    std::vector<OtherShape> other_shapes;  ///< in both
    std::vector<std::string> unknown;      ///< in the file, not of the model

    std::size_t taken = 0;  ///< parameters and running averages that came from the file
};

/// Sets parameters, running averages and counters. Throws FileError, and changes nothing, naming the tensor,
///  - if one is missing (but for LoadReport::assumed), has another shape, or the file has one that the model
///    has not; with options.partial, only if nothing fits at all;
///  - if a value is one that no training can have: not a finite number, a negative running variance, or a
///    negative counter. The text names the first such value and where it stands.
/// Counters may be of any integer type, of shape [] or [1].
template <class Scalar>
LOCKSTEP_EXPORT LoadReport load_weights(const SafetensorsFile& file, Network<Scalar>& network,
                                        const LoadOptions& options = {});

/// A number that tells two states of a network apart: over all parameters, running averages and counters.
template <class Scalar>
LOCKSTEP_EXPORT std::uint64_t fingerprint(const Network<Scalar>& network);

}  // namespace lockstep
