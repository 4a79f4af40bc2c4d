/// Where a number that is not finite has come from, once there is one. Nothing here is called in a healthy step.
#pragma once

#include <lockstep/nn/network.hpp>

#include <span>
#include <string>

namespace lockstep {

/// "'3.weight' (NaN)": the last parameter, which backward comes to first, with a value that is not finite in `values`,
/// an array laid out as the parameters are; empty if there is none. Instantiated for float and double.
template <class Scalar>
std::string last_not_finite(const ParameterLayout& layout, std::span<const Scalar> values);

/// The rest of "the loss is no longer finite (NaN) at epoch 1, step 4: …": where that begins, and what to do. The same
/// on every rank, though each sees but the activations of its replicas. `parameters_have_changed`: whether there was a
/// step before. Collective. Instantiated for float and double.
template <class Scalar>
std::string why_loss_is_not_finite(const Network<Scalar>& network, const std::string& loss,
                                   bool parameters_have_changed);

}  // namespace lockstep
