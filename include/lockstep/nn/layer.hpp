/// What a network is made of. A layer works on all replicas that live on a rank, one after the other; only
/// batch norm looks across them.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/shape.hpp>
#include <lockstep/nn/gradient_store.hpp>
#include <lockstep/nn/parameters.hpp>
#include <lockstep/nn/tensor.hpp>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

template <class Scalar>
class LOCKSTEP_EXPORT BatchNorm;  // visible from here on: Clang goes by the first declaration

/// What a training pass is about. Alike on all ranks but for the positions, which depend on the replicas
/// hosted.
struct StepContext {
    std::uint64_t seed = 1;
    std::uint64_t step = 0;
    /// For each hosted replica: where its first sample stands in the global batch. Randomness hangs on these
    /// positions, so that it does not depend on how the batch is spread over replicas.
    std::span<const Index> first_positions;
};

/// z = scale·x + shift, channel by channel: what a batch norm does in inference.
struct ChannelMap {
    std::vector<double> scale, shift;
};

/// Called in backward with an offset from which on all gradients are complete; offsets never rise.
using GradientsReady = std::function<void(Index offset)>;

/// One layer. Instantiated for float and double. One of your own derives from it: see layer_registry.hpp.
///
/// Training is forward, which records what backward needs; evaluation is infer, which is const, changes
/// nothing and never communicates. Every span holds one tensor for each hosted replica, in order.
template <class Scalar>
class LOCKSTEP_EXPORT Layer {
  public:
    using Inputs = std::span<const Tensor<const Scalar>>;
    using Outputs = std::span<const Tensor<Scalar>>;

    struct BackwardPass {
        const StepContext& context;
        Inputs x;    ///< as in forward; not valid for layers that run in place
        Inputs z;    ///< the layer's outputs; valid only for layers that keep them (needs_output)
        Inputs dz;   ///< gradients of the outputs
        Outputs dx;  ///< gradients of the inputs, to be written; data is null where nobody wants them
        GradientStore<Scalar>& gradients;
        const GradientsReady& ready;
    };

    Layer(Shape input, Shape output) : input_(input), output_(output) {}
    virtual ~Layer() = default;
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    const Shape& input_shape() const { return input_; }
    const Shape& output_shape() const { return output_; }

    /// The word of the model text, for messages: "linear".
    virtual std::string kind() const = 0;
    /// Declares the layer's parameters at the end of the layout: what containers call for the layers in them.
    void place(ParameterLayout& layout, const std::string& prefix);
    /// Adds parameters and running averages, named `prefix`weight and so on.
    virtual void declare(ParameterLayout& layout, const std::string& prefix);
    /// Takes views into the store, which outlives the layer.
    virtual void bind(ParameterStore<Scalar>& store);
    /// Sets the initial parameters, a function of the seed.
    virtual void initialize(std::uint64_t seed);
    /// Allocates what training needs for up to `batch` samples in each of `replicas` replicas.
    virtual void reserve(int replicas, Index batch);

    /// Unless overridden, infers each replica: enough for a layer that is the same in training and records nothing.
    virtual void forward(const StepContext& context, Inputs x, Outputs z);
    /// Writes dx and, for each hosted replica, the gradients of the parameters; pushes the latter. May say
    /// that they are complete before it turns to dx, so that their exchange goes on meanwhile.
    virtual void backward(const BackwardPass& pass) = 0;
    virtual void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const = 0;

    /// Whether z may be x, and dx dz: then the network saves a buffer.
    virtual bool runs_in_place() const { return false; }
    /// Whether backward reads z.
    virtual bool needs_output() const { return false; }
    /// Where the layer's first parameter lies; gradients from here on are complete after its backward. The
    /// end of the parameters before it where it has none.
    Index first_parameter() const { return first_parameter_; }
    /// How many values its parameters have, and how many of the flat array they take up.
    Index parameters() const { return parameters_; }
    Index parameter_room() const { return parameter_room_; }
    /// Appends the batch norms in here, in forward order.
    virtual void collect_batch_norms(std::vector<BatchNorm<Scalar>*>& list);

    // --- before inference alone: see fold.hpp ---

    enum class Side { input, output };
    /// Changes the parameters so that infer first maps its input, or last its output. False, and nothing changes,
    /// if the layer cannot do that, or the parameters would not be finite.
    virtual bool absorb(const ChannelMap& map, Side side);
    /// Folds the batch norms in here that can be folded.
    virtual void fold_batch_norms();

  protected:
    /// For backward: all hosted replicas have pushed their gradients.
    void report_ready(const BackwardPass& pass) const {
        if (pass.ready) pass.ready(first_parameter_);
    }

  private:
    Shape input_;
    Shape output_;
    Index first_parameter_ = 0;
    Index parameters_ = 0;
    Index parameter_room_ = 0;
};

extern template class Layer<float>;
extern template class Layer<double>;

}  // namespace lockstep
