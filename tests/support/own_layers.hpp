/// Layers as a user of the library writes them: one without parameters, and one that learns.
#pragma once

#include <lockstep/nn/layer_registry.hpp>

#include <algorithm>
#include <mutex>

namespace lockstep::test {

/// z = factor·x
template <class Scalar>
class Scale final : public Layer<Scalar> {
  public:
    Scale(Shape shape, double factor) : Layer<Scalar>(shape, shape), factor_(static_cast<Scalar>(factor)) {}

    std::string kind() const override { return "scale"; }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (std::size_t r = 0; r < pass.dz.size(); ++r)
            if (pass.dx[r].data != nullptr) infer(pass.dz[r], pass.dx[r]);
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        std::transform(x.data, x.data + x.size(), z.data, [this](Scalar value) { return factor_ * value; });
    }
    bool runs_in_place() const override { return true; }

  private:
    Scalar factor_;
};

/// z = x + bias, one for each feature, which begins with `first`.
template <class Scalar>
class Shift final : public Layer<Scalar> {
  public:
    Shift(Shape shape, double first) : Layer<Scalar>(shape, shape), first_(first) {}

    std::string kind() const override { return "shift"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset_ = layout.add_parameter(prefix + "bias", {features()}, ParameterKind::bias);
    }
    void bind(ParameterStore<Scalar>& store) override { bias_ = store.parameters.data() + offset_; }
    void initialize(std::uint64_t) override { std::fill_n(bias_, features(), static_cast<Scalar>(first_)); }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (int r = 0; r < pass.gradients.hosted(); ++r) {
            const auto& dz = pass.dz[static_cast<std::size_t>(r)];
            const auto& dx = pass.dx[static_cast<std::size_t>(r)];
            Scalar* const gradient = pass.gradients.leaf(r, offset_);
            std::fill_n(gradient, features(), Scalar(0));
            for (Index i = 0; i < dz.size(); ++i) gradient[i % features()] += dz.data[i];
            pass.gradients.push(r, offset_, offset_ + features());
            if (dx.data != nullptr) std::copy_n(dz.data, dz.size(), dx.data);
        }
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i) z.data[i] = x.data[i] + bias_[i % features()];
    }

  private:
    Index features() const { return this->input_shape().size(); }

    double first_;
    Index offset_ = 0;
    Scalar* bias_ = nullptr;
};

/// Once for the process, whichever test comes first.
inline void register_own_layers() {
    static std::once_flag once;
    std::call_once(once, [] {
        register_layer<Scale>("scale");
        register_layer("shift", LayerInput::flat, []<class Scalar>(const LayerContext<Scalar>& layer) {
            layer.expect(0, 1, "where its values begin, as in 'shift 0.5'");
            return std::make_unique<Shift<Scalar>>(layer.input(), layer.count() == 1 ? layer.number(0) : 0);
        });
    });
}

}  // namespace lockstep::test
