/// The registry as the library reads it.
#pragma once

#include <lockstep/nn/layer_registry.hpp>

#include <string>
#include <string_view>

namespace lockstep {

/// Null where there is none. Stays valid.
const LayerKind* find_layer_kind(std::string_view word);

/// All words: "avgpool, batchnorm, …".
std::string known_layers();

/// Calls add(LayerKind) for each layer of the library.
void add_built_in_layers(const std::function<void(LayerKind)>& add);

}  // namespace lockstep
