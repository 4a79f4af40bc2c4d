/// Saving a run and continuing it, on any number of ranks, with the same bits.
///
/// checkpoint.safetensors holds the weights (see weights.hpp), the optimizer's state as `optimizer.*`, and in its
/// metadata how many epochs are complete, and how many steps of the next one with their sums; what the run depends on;
/// which Lockstep on which instruction set has written it; and what the model takes and gives (see model_file.hpp), so
/// that it can be evaluated as it is. Checksums tell whether it is as it was written (see safetensors.hpp).
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/train/trainer.hpp>

#include <filesystem>
#include <string>

namespace lockstep {

/// What has written a checkpoint; empty if it does not say so.
struct CheckpointOrigin {
    std::string version;          ///< of Lockstep
    std::string instruction_set;  ///< of its matrix products, on which bits depend
};

/// Writes the weights alone, for evaluation and for other programs. Not collective.
/// Throws FileError where the file cannot be written. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT void save_weights(const Network<Scalar>& network, const std::filesystem::path& path);

/// Writes everything that a continued run needs, and what the run depends on: trainer.settings(), and `more`,
/// of which only the caller knows, such as the data that it is evaluated on. Not collective.
/// Between two epochs or two steps, also in run_epoch's `each_step`. Throws UsageError within a step; FileError where the
/// file cannot be written.
template <class Scalar>
LOCKSTEP_EXPORT void save_checkpoint(Trainer<Scalar>& trainer, const std::filesystem::path& path,
                                     const Settings& more = {});

/// Restores it; run_epoch then goes on where it was taken. Collective: where it fails on one rank, the others get a CommunicationError, and the communicator
/// remains usable. Throws FileError if the file is damaged, of another model, or of a run that depended on something
/// else: on other data, say, or on another `more`. The text names what differs, then and now.
template <class Scalar>
LOCKSTEP_EXPORT CheckpointOrigin load_checkpoint(Trainer<Scalar>& trainer, const std::filesystem::path& path,
                                                 const Settings& more = {});

}  // namespace lockstep
