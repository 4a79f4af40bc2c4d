/// Activations: z = f(x), value by value.
///
/// | kind       | f(x)                                            | argument        | in PyTorch                  |
/// |------------|-------------------------------------------------|-----------------|-----------------------------|
/// | relu       | max(x, 0)                                       |                 | ReLU                        |
/// | leaky_relu | x where x > 0, else a·x                         | a ≥ 0, 0.01     | LeakyReLU(a)                |
/// | elu        | x where x > 0, else a·(eˣ − 1)                  | a ≥ 0, 1        | ELU(a)                      |
/// | gelu       | x·Φ(x) = x/2·(1 + erf(x/√2))                    |                 | GELU()                      |
/// | gelu_tanh  | x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))        |                 | GELU(approximate="tanh")    |
/// | silu       | x/(1 + e⁻ˣ)                                     |                 | SiLU                        |
/// | tanh       | tanh x                                          |                 | Tanh                        |
/// | sigmoid    | 1/(1 + e⁻ˣ)                                     |                 | Sigmoid                     |
/// | softplus   | log(1 + eˣ), and x where x > 20                 |                 | Softplus()                  |
/// | identity   | x                                               |                 | Identity                    |
///
/// What takes e or erf is computed in double, by functions of our own, with the same bits on every instruction
/// set; a NaN stays one.
#pragma once

#include <lockstep/nn/layer.hpp>

#include <optional>
#include <string_view>

namespace lockstep {

enum class ActivationKind {
    relu,
    leaky_relu,
    elu,
    gelu,
    gelu_tanh,
    silu,
    tanh,
    sigmoid,
    softplus,
    identity,
};

/// The argument of those that take one, where none is given.
LOCKSTEP_EXPORT std::optional<double> default_argument(ActivationKind kind);

template <class Scalar>
struct ActivationLoops;

template <class Scalar>
class LOCKSTEP_EXPORT ActivationLayer final : public Layer<Scalar> {
  public:
    using typename Layer<Scalar>::Inputs;
    using typename Layer<Scalar>::Outputs;
    using typename Layer<Scalar>::BackwardPass;

    /// Throws UsageError where the argument is negative or no number, or the kind takes none.
    ActivationLayer(Shape shape, ActivationKind kind, std::optional<double> argument = {});

    ActivationKind activation() const { return kind_; }
    /// From now on the layer before does this one's work: both write to the same memory, as a Sequence makes
    /// them where this is not its last layer.
    void leave_to_layer_before() { done_before_ = true; }

    std::string kind() const override;
    void forward(const StepContext& context, Inputs x, Outputs z) override;
    void backward(const BackwardPass& pass) override;
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override;
    /// Where the slope is a function of z, x need not be kept.
    bool runs_in_place() const override;
    bool needs_output() const override;

  private:
    ActivationKind kind_;
    Scalar argument_;
    const ActivationLoops<Scalar>& loops_;
    bool done_before_ = false;
};

extern template class ActivationLayer<float>;
extern template class ActivationLayer<double>;

}  // namespace lockstep
