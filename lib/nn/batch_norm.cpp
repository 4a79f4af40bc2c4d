#include <lockstep/nn/batch_norm.hpp>
#include <lockstep/norm/statistics_groups.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace lockstep {
namespace {

BatchNormOptions deferred(BatchNormOptions options) {
    options.running_update = RunningUpdate::deferred;
    return options;
}

}  // namespace

template <class Scalar>
BatchNorm<Scalar>::BatchNorm(Shape shape, const Communicator& communicator, BatchNormOptions options,
                             ReplicaPlacement placement)
    : Layer<Scalar>(shape, shape),
      communicator_(communicator),
      options_(deferred(std::move(options))),
      placement_(placement) {}

template <class Scalar>
void BatchNorm<Scalar>::declare(ParameterLayout& layout, const std::string& prefix) {
    prefix_ = prefix;
    if (options_.name.empty())
        options_.name = prefix.substr(0, prefix.size() - (prefix.ends_with('.') ? 1 : 0));
    const Index channels = this->input_shape().channels;
    norm_.emplace(channels, communicator_, options_, placement_);
    const auto hosted = static_cast<std::size_t>(norm_->groups().hosted_replicas());
    forward_slices_.resize(hosted);
    backward_slices_.resize(hosted);
    if (affine()) {
        gamma_offset_ = layout.add_parameter(prefix + "weight", {channels}, ParameterKind::scale);
        beta_offset_ = layout.add_parameter(prefix + "bias", {channels}, ParameterKind::shift);
    }
    mean_offset_ = layout.add_average(prefix + "running_mean", {channels});
    variance_offset_ = layout.add_average(prefix + "running_var", {channels});
}

template <class Scalar>
void BatchNorm<Scalar>::bind(ParameterStore<Scalar>& store) {
    Scalar* gamma = store.parameters.data() + gamma_offset_;
    Scalar* beta = store.parameters.data() + beta_offset_;
    if (!affine()) {
        const auto channels = static_cast<std::size_t>(norm_->channels());
        constants_.assign(2 * channels, Scalar(0));
        gamma = constants_.data();
        beta = gamma + channels;
        std::fill_n(gamma, channels, Scalar(1));
    }
    norm_->bind(
        {gamma, beta, store.averages.data() + mean_offset_, store.averages.data() + variance_offset_});
}

template <class Scalar>
void BatchNorm<Scalar>::initialize(std::uint64_t) {
    if (affine()) {
        std::ranges::fill(norm_->gamma(), initial_gamma_);
        std::ranges::fill(norm_->beta(), Scalar(0));
    }
    std::ranges::fill(norm_->running_mean(), Scalar(0));
    std::ranges::fill(norm_->running_var(), Scalar(1));
    norm_->averages().set_batches(0);
}

template <class Scalar>
void BatchNorm<Scalar>::forward(const StepContext&, Inputs x, Outputs z) {
    for (std::size_t r = 0; r < x.size(); ++r)
        forward_slices_[r] = {x[r].data, z[r].data, {x[r].batch, x[r].shape.pixels()}};
    norm_->forward(forward_slices_, moments_);
}

template <class Scalar>
void BatchNorm<Scalar>::backward(const BackwardPass& pass) {
    for (int r = 0; r < pass.gradients.hosted(); ++r) {
        const auto i = static_cast<std::size_t>(r);
        // Between leaf and push of one replica others write to the same slot: so each takes its turn below.
        backward_slices_[i] = {pass.x[i].data,
                               pass.dz[i].data,
                               pass.dx[i].data,
                               {pass.x[i].batch, pass.x[i].shape.pixels()},
                               affine() ? pass.gradients.leaf(r, gamma_offset_) : nullptr,
                               affine() ? pass.gradients.leaf(r, beta_offset_) : nullptr};
    }
    norm_->backward(backward_slices_, moments_, [&](int r) {
        if (affine()) pass.gradients.push(r, gamma_offset_, beta_offset_ + norm_->channels());
    });
}

template <class Scalar>
void BatchNorm<Scalar>::infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const {
    norm_->infer(x.data, z.data, {x.batch, x.shape.pixels()});
}

template <class Scalar>
std::optional<ChannelMap> BatchNorm<Scalar>::foldable_map() const {
    constexpr double largest_mean = 1e-6 / (2 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
    const SyncBatchNorm<Scalar>& norm = *norm_;
    ChannelMap map;
    for (std::size_t c = 0; c < norm.gamma().size(); ++c) {
        const double variance = norm.running_var()[c], mean = norm.running_mean()[c];
        const double deviation = std::sqrt(variance + options_.epsilon);
        if (!(std::abs(mean) <= largest_mean * deviation)) return std::nullopt;
        map.scale.push_back(norm.gamma()[c] / deviation);
        map.shift.push_back(norm.beta()[c] - mean * map.scale.back());
    }
    return map;
}

template class BatchNorm<float>;
template class BatchNorm<double>;

}  // namespace lockstep
