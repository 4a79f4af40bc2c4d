/// The model text: layers in order, separated by commas, each a word and its arguments.
///
///     batchnorm, linear 300, relu, batchnorm, linear 100, relu, batchnorm, linear 10
///     … residual { conv 16 3x3 pad 1, batchnorm, relu, … }, …
#pragma once

#include <lockstep/base/export.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// One layer as written, not yet fitted to an input.
struct LOCKSTEP_EXPORT LayerDescription {
    std::string kind;                    ///< "linear"
    std::vector<std::string> arguments;  ///< {"300"}
    std::vector<LayerDescription> body;  ///< what stands in braces

    /// As it would be written: "linear 300".
    std::string to_string() const;
};

using ModelDescription = std::vector<LayerDescription>;

/// Splits the text into layers. Throws UsageError on broken syntax (an empty layer, unbalanced braces);
/// whether a layer exists and fits is found when a network is built from the description.
LOCKSTEP_EXPORT ModelDescription parse_model(std::string_view text);

/// The text as it is always written: on one line, with one space where several or line breaks were, and settings
/// of a layer in one order ("batchnorm affine false epsilon 1e-3" is "batchnorm epsilon 0.001 affine false"). Two
/// texts of the same model give the same one. Throws as parse_model does, and LayerError where a setting is wrong.
LOCKSTEP_EXPORT std::string canonical_model(std::string_view text);
LOCKSTEP_EXPORT std::string canonical_model(const ModelDescription& model);

}  // namespace lockstep
