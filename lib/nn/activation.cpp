#include <lockstep/nn/activation.hpp>

#include "activation_loops.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <string>

namespace lockstep {
namespace {

/// What backward reads.
enum class SlopeOf { input, output, nothing };

struct ActivationFacts {
    const char* word;
    SlopeOf slope_of;
    std::optional<double> argument;
};

/// In the order of ActivationKind.
constexpr ActivationFacts facts_of_kind[] = {
    {"relu", SlopeOf::output, {}},    {"leaky-relu", SlopeOf::output, 0.01},
    {"elu", SlopeOf::output, 1.0},    {"gelu", SlopeOf::input, {}},
    {"gelu", SlopeOf::input, {}},     {"silu", SlopeOf::input, {}},
    {"tanh", SlopeOf::output, {}},    {"sigmoid", SlopeOf::output, {}},
    {"softplus", SlopeOf::input, {}}, {"identity", SlopeOf::nothing, {}},
};

const ActivationFacts& facts(ActivationKind kind) {
    return facts_of_kind[static_cast<int>(kind)];
}

double checked_argument(ActivationKind kind, std::optional<double> argument) {
    const auto usual = default_argument(kind);
    if (argument && !usual) throw UsageError(std::string(facts(kind).word) + " takes no argument");
    const double value = argument.value_or(usual.value_or(0));
    // Below zero z would not tell the sign of x, from which backward takes the slope.
    if (!(value >= 0 && value <= 1e30))
        throw UsageError(std::string(facts(kind).word) + ": the argument must be at least 0, not " +
                         shortest_text(value));
    return value;
}

}  // namespace

std::optional<double> default_argument(ActivationKind kind) {
    return facts(kind).argument;
}

template <class Scalar>
ActivationLayer<Scalar>::ActivationLayer(Shape shape, ActivationKind kind, std::optional<double> argument)
    : Layer<Scalar>(shape, shape),
      kind_(kind),
      argument_(static_cast<Scalar>(checked_argument(kind, argument))),
      loops_(
          table_for<AllActivationLoops<Scalar>>(active_instruction_set()).of_kind[static_cast<int>(kind)]) {}

template <class Scalar>
std::string ActivationLayer<Scalar>::kind() const {
    return facts(kind_).word;
}

template <class Scalar>
bool ActivationLayer<Scalar>::runs_in_place() const {
    return facts(kind_).slope_of != SlopeOf::input;
}

template <class Scalar>
bool ActivationLayer<Scalar>::needs_output() const {
    return facts(kind_).slope_of == SlopeOf::output && !done_before_;
}

template <class Scalar>
void ActivationLayer<Scalar>::forward(const StepContext& context, Inputs x, Outputs z) {
    if (!done_before_) Layer<Scalar>::forward(context, x, z);
}

template <class Scalar>
void ActivationLayer<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    loops_.output(x.data, z.data, x.size(), argument_);
}

template <class Scalar>
void ActivationLayer<Scalar>::backward(const BackwardPass& pass) {
    if (done_before_) return;
    const auto& given = facts(kind_).slope_of == SlopeOf::input ? pass.x : pass.z;
    for (std::size_t r = 0; r < pass.dz.size(); ++r) {
        const auto& dz = pass.dz[r];
        Scalar* const dx = pass.dx[r].data;
        if (dx != nullptr) loops_.gradient(given[r].data, dz.data, dx, dz.size(), argument_);
    }
}

template class ActivationLayer<float>;
template class ActivationLayer<double>;

}  // namespace lockstep
