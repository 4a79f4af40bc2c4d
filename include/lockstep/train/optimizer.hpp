/// The optimizers: what turns gradients into new parameters, element by element over one flat array.
///
/// The update rules are exactly those of torch.optim.SGD and torch.optim.AdamW. With parameter p, gradient g,
/// learning rate η and weight decay λ (0 outside the ranges that decay), step number t = 1, 2, …:
///
///     sgd     g ← g + λp;  b ← μb + g (b starts at 0)
///             p ← p − η·b, or with Nesterov p ← p − η·(g + μb)
///     adamw   p ← p − ηλp;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
///             p ← p − η/(1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε)
///
/// (adamw: Loshchilov and Hutter, arXiv:1711.05101)
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/paged_array.hpp>
#include <lockstep/base/shape.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class OptimizerKind { sgd, adamw };

/// What weight decay acts on: every parameter, as in PyTorch, or the weights of linear and convolution layers
/// only.
enum class WeightDecayScope { all, weights };

/// What an update rule sees of a step.
template <class Scalar>
struct UpdatePass {
    std::span<Scalar> parameters;
    std::span<const Scalar> gradients;         ///< as many
    std::span<const std::span<Scalar>> state;  ///< as many each, one for each of state_names; zeros at first
    std::int64_t step = 1;                     ///< 1, 2, …
    double learning_rate = 0;
    double weight_decay = 0;
};

/// A rule of one's own by which gradients become new parameters. It must treat every element by itself, in a fixed
/// order of operations: then the result does not depend on who computes it.
class LOCKSTEP_EXPORT UpdateRule {
  public:
    virtual ~UpdateRule() = default;

    /// Name and options: what ranks compare and checkpoints store.
    virtual std::string text() const = 0;
    /// Arrays that it remembers, as long as the parameters; checkpoints hold them under these names, which differ and
    /// never change.
    virtual std::vector<std::string> state_names() const { return {}; }
    /// Updates the parameters and the state in place. Called for stretches of one weight decay.
    virtual void step(const UpdatePass<float>& pass) const = 0;
    virtual void step(const UpdatePass<double>& pass) const = 0;
};

struct LOCKSTEP_EXPORT OptimizerOptions {
    OptimizerKind kind = OptimizerKind::sgd;
    double momentum = 0.9;  ///< sgd only, in [0, 1)
    bool nesterov = false;  ///< sgd only; wants a momentum
    double weight_decay = 0;
    WeightDecayScope decay = WeightDecayScope::all;
    double beta1 = 0.9;     ///< adamw only, in [0, 1)
    double beta2 = 0.999;   ///< adamw only, in [0, 1)
    double epsilon = 1e-8;  ///< adamw only, positive
    std::shared_ptr<const UpdateRule> rule =
        nullptr;  ///< instead of a kind; learning rate and weight decay still count

    /// Throws UsageError, naming the option, where a value makes no sense.
    void validate() const;
};

/// The names of the command line: "sgd", "adamw"; "all", "weights". Parsing throws UsageError listing the
/// choices.
LOCKSTEP_EXPORT std::string_view to_string(OptimizerKind kind);
LOCKSTEP_EXPORT std::string_view to_string(WeightDecayScope scope);
LOCKSTEP_EXPORT OptimizerKind parse_optimizer_kind(std::string_view name);
LOCKSTEP_EXPORT WeightDecayScope parse_weight_decay_scope(std::string_view name);

/// Elements [begin, end) of the flat parameter array.
struct ParameterRange {
    Index begin = 0;
    Index end = 0;
};

/// Steps a flat array of parameters. Every element is updated by itself, in Scalar arithmetic, so the result
/// does not depend on how many ranks there are. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT Optimizer {
  public:
    /// One array of what the optimizer remembers, as long as the parameters; named as in torch.optim.
    template <class Value>
    struct StateArray {
        std::string_view name;  ///< "momentum_buffer", or "exp_avg" and "exp_avg_sq"
        std::span<Value> values;
    };
    using State = StateArray<Scalar>;
    using ConstState = StateArray<const Scalar>;

    /// `weights`: ascending, disjoint ranges of the flat array that hold weights; only they decay where
    /// options.decay is `weights`, and with `all` they are not looked at.
    /// Throws UsageError where the options make no sense or a range lies outside the array.
    Optimizer(const OptimizerOptions& options, Index parameters, std::span<const ParameterRange> weights);

    /// Updates `parameters` in place. Both spans have the length given at construction, else UsageError.
    /// Allocates nothing.
    void step(std::span<Scalar> parameters, std::span<const Scalar> gradients, double learning_rate);

    /// Where a part of the arrays is stepped by somebody else: parameters and state of all, as whoever steps the rest sees
    /// them, too, in the order of state().
    struct Arrays {
        Scalar* parameters = nullptr;
        std::vector<Scalar*> state;
        bool held_elsewhere = false;  ///< the parameters are in the caches of other cores, which read them
    };
    /// Steps the elements of `range` of these arrays, with their gradients.
    void step(const Arrays& arrays, ParameterRange range, std::span<const Scalar> gradients,
              double learning_rate);

    const OptimizerOptions& options() const { return options_; }
    /// Parameters.
    Index size() const { return size_; }

    /// For checkpoints: what a new optimizer must be given to continue with the same bits. Empty for sgd
    /// without momentum. The spans stay valid as long as the optimizer and may be written through.
    std::vector<State> state();
    std::vector<ConstState> state() const;
    /// For whoever makes it a node's: see NodeArrays.
    std::vector<PagedMemory*> state_memory();
    std::int64_t step_count() const { return step_count_; }
    /// Throws UsageError where `count` is negative.
    void set_step_count(std::int64_t count);

  private:
    struct Segment {  // a stretch of the array with one weight decay
        Index begin = 0;
        Index end = 0;
        double weight_decay = 0;
    };

    void add_segment(Index begin, Index end, double weight_decay);
    /// These take the parameters and gradients of the segment alone.
    void step_segment(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                      const Scalar* gradients, double learning_rate);
    void step_streaming(const Segment& segment, const Arrays& arrays, const Scalar* gradients,
                        double learning_rate);
    void step_sgd(const Segment& segment, Scalar* parameters, const Scalar* gradients, double learning_rate);
    void step_momentum(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                       const Scalar* gradients, double learning_rate);
    void step_adamw(const Segment& segment, Scalar* parameters, const Arrays& arrays, const Scalar* gradients,
                    double learning_rate);
    void step_by_rule(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                      const Scalar* gradients, double learning_rate);

    OptimizerOptions options_;
    Index size_;
    std::vector<Segment> segments_;
    std::vector<std::string> names_;
    std::vector<PagedArray<Scalar>> state_;  // by name
    Arrays own_;                             // the state, where this object has it
    std::int64_t step_count_ = 0;
    double correction1_ = 1, correction2_ = 1;  // adamw: 1 − β₁ᵗ and 1 − β₂ᵗ of the step at hand
};

extern template class Optimizer<float>;
extern template class Optimizer<double>;

}  // namespace lockstep
