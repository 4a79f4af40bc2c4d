#include <lockstep/norm/moments.hpp>
#include <lockstep/train/step_summary.hpp>

#include <algorithm>

namespace lockstep {
namespace {

constexpr Index loss_values = 2;

}  // namespace

template <class Scalar>
StepSummary<Scalar>::StepSummary(const Communicator& communicator, const ReplicaMap& map,
                                 std::span<BatchNorm<Scalar>* const> layers)
    : layers_(layers), pools_moments_(!layers.empty() && !layers.front()->norm().statistics_are_global()) {
    Index values = loss_values;
    std::vector<Index> channels;
    if (pools_moments_)
        for (const BatchNorm<Scalar>* layer : layers_) {
            offsets_.push_back(values);
            channels.push_back(layer->norm().channels());
            values += moments_size(channels.back());
        }
    const auto merge = [channels](double* left, const double* right) {
        for (Index i = 0; i < loss_values; ++i) left[i] += right[i];
        Index offset = loss_values;
        for (const Index count : channels) {
            merge_moments(left + offset, right + offset, count);
            offset += moments_size(count);
        }
    };
    exchange_ =
        std::make_unique<TreeExchange>(communicator, map, map.all(), static_cast<std::size_t>(values), merge);
    label_ = ExchangeLabel("", ExchangeKind::step_summary, values, 0);
}

template <class Scalar>
void StepSummary<Scalar>::start(std::span<const LossSums> losses) {
    for (int i = 0; i < static_cast<int>(losses.size()); ++i) {
        double* const leaf = exchange_->leaf(i);
        leaf[0] = losses[static_cast<std::size_t>(i)].loss;
        leaf[1] = losses[static_cast<std::size_t>(i)].correct;
        for (std::size_t layer = 0; layer < offsets_.size(); ++layer)
            std::copy_n(layers_[layer]->norm().replica_moments(i),
                        moments_size(layers_[layer]->norm().channels()), leaf + offsets_[layer]);
        exchange_->push(i);
    }
    ++label_.call;
    exchange_->start(label_);
}

template <class Scalar>
LossSums StepSummary<Scalar>::finish() {
    result_ = exchange_->wait();
    return {result_[0], result_[1]};
}

template <class Scalar>
const double* StepSummary<Scalar>::moments(std::size_t layer) const {
    return pools_moments_ ? result_ + offsets_[layer] : layers_[layer]->norm().group_moments();
}

template class StepSummary<float>;
template class StepSummary<double>;

}  // namespace lockstep
