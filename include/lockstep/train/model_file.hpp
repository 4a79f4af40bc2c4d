/// Model files: weights that say what they belong to, so that a network can be built from the file alone.
///
/// A model file is a .safetensors file of weights (see weights.hpp) whose metadata hold a signature:
///
///     lockstep.model          the model text
///     lockstep.epsilon        of all batch norms
///     lockstep.classes        how many the network tells apart, or
///     lockstep.values         how many values it predicts
///     lockstep.loss           what it was trained with (see loss.hpp); cross-entropy where this is missing
///     lockstep.dataset        the name of the data set that it was trained on
///     lockstep.input          raw, unit or standardized
///     lockstep.input_shape    height, width, channels
///     lockstep.input_offset   one number for each channel, which is subtracted
///     lockstep.input_divisor  one for each, which then divides
///
/// Numbers are texts that read back as the same bits. Programs that do not know them skip them.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/data/input_transform.hpp>
#include <lockstep/nn/network.hpp>
#include <lockstep/train/safetensors.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace lockstep {

/// What a model takes and gives.
struct ModelSignature {
    std::string model;  ///< canonical text
    double epsilon = 1e-5;
    Target target;
    std::string loss = "cross-entropy";
    std::string dataset;   ///< what it was trained on
    InputTransform input;  ///< and with it the shape of a sample
};

/// Of the network that a trainer trains. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT ModelSignature signature_of(const Trainer<Scalar>& trainer);

LOCKSTEP_EXPORT void add_signature(const ModelSignature& signature, SafetensorsWriter& writer);
/// std::nullopt if the file has none, as those of other programs. Throws FileError, naming the entry, if it
/// is incomplete or makes no sense.
LOCKSTEP_EXPORT std::optional<ModelSignature> read_signature(const SafetensorsFile& file);

/// Writes a model file. Not collective. Throws FileError if it cannot be written. Instantiated for float and
/// double.
template <class Scalar>
LOCKSTEP_EXPORT void save_model(const Network<Scalar>& network, const ModelSignature& signature,
                                const std::filesystem::path& path);

/// A network for inference, and how its input is made.
template <class Scalar>
struct LoadedModel {
    ModelSignature signature;
    std::unique_ptr<Network<Scalar>> network;  ///< of this process alone: it exchanges nothing
    LoadReport report;
};

/// From a model file, or a checkpoint. Throws FileError if the file has no signature, or its weights do not
/// fit it. Instantiated for float and double.
template <class Scalar>
LOCKSTEP_EXPORT LoadedModel<Scalar> load_model(const std::filesystem::path& path);
template <class Scalar>
LOCKSTEP_EXPORT LoadedModel<Scalar> load_model(const SafetensorsFile& file);
/// From weights that say nothing about themselves, and what the caller knows of them. Throws UsageError if
/// the signature makes no sense, FileError if the weights do not fit it.
template <class Scalar>
LOCKSTEP_EXPORT LoadedModel<Scalar> load_model(const SafetensorsFile& file, ModelSignature signature);

}  // namespace lockstep
