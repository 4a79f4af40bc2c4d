#include <lockstep/train/statistics_noise.hpp>

#include <lockstep/norm/moments.hpp>

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

/// Of each layer: squared deviations of the means, of the variances, and how many were added.
constexpr std::size_t sums_per_layer = 3;

}  // namespace

template <class Scalar>
StatisticsNoise<Scalar>::StatisticsNoise(const Communicator& communicator, const ReplicaMap& map,
                                         std::span<BatchNorm<Scalar>* const> layers)
    : layers_(layers), hosted_(map.block(communicator.rank()).size()) {
    std::size_t values = 0;
    std::vector<Index> channels;
    for (const BatchNorm<Scalar>* layer : layers_) {
        offsets_.push_back(values);
        channels.push_back(layer->norm().channels());
        values += static_cast<std::size_t>(moments_size(channels.back()));
    }
    const auto merge = [channels](double* left, const double* right) {
        for (const Index count : channels) {
            merge_moments(left, right, count);
            left += moments_size(count);
            right += moments_size(count);
        }
    };
    const std::size_t sums = sums_per_layer * layers_.size();
    moments_ = std::make_unique<TreeExchange>(communicator, map, map.all(), values, merge);
    deviations_ = std::make_unique<TreeExchange>(communicator, map, map.all(), sums, sum_merge(sums));
    moments_label_ =
        ExchangeLabel("noise", ExchangeKind::pooled_moments, static_cast<std::int64_t>(values), 0);
    deviations_label_ =
        ExchangeLabel("noise", ExchangeKind::backward_sums, static_cast<std::int64_t>(sums), 0);
}

template <class Scalar>
const double* StatisticsNoise<Scalar>::pool_moments() {
    for (int i = 0; i < hosted_; ++i) {
        double* const leaf = moments_->leaf(i);
        for (std::size_t layer = 0; layer < layers_.size(); ++layer)
            std::copy_n(layers_[layer]->norm().replica_moments(i),
                        moments_size(layers_[layer]->norm().channels()), leaf + offsets_[layer]);
        moments_->push(i);
    }
    ++moments_label_.call;
    moments_->start(moments_label_);
    return moments_->wait();
}

template <class Scalar>
void StatisticsNoise<Scalar>::add_deviations(int replica, const double* pooled, double* sums) const {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer, sums += sums_per_layer) {
        const SyncBatchNorm<Scalar>& norm = layers_[layer]->norm();
        const MomentsView<const double> own{norm.replica_moments(replica), norm.channels()};
        const MomentsView<const double> all{pooled + offsets_[layer], norm.channels()};
        if (own.count() == 0) continue;
        for (Index c = 0; c < norm.channels(); ++c) {
            const double variance = all.m2()[c] / all.count();
            const double scale = variance + norm.options().epsilon;
            const double mean_deviation = own.mean()[c] - all.mean()[c];
            const double variance_deviation = own.m2()[c] / own.count() - variance;
            sums[0] += mean_deviation * mean_deviation / scale;
            sums[1] += variance_deviation * variance_deviation / (scale * scale);
        }
        sums[2] += static_cast<double>(norm.channels());
    }
}

template <class Scalar>
std::vector<LayerNoise> StatisticsNoise<Scalar>::measure() {
    if (layers_.empty()) return {};
    const double* const pooled = pool_moments();
    for (int i = 0; i < hosted_; ++i) {
        double* const leaf = deviations_->leaf(i);
        std::fill_n(leaf, sums_per_layer * layers_.size(), 0.0);
        add_deviations(i, pooled, leaf);
        deviations_->push(i);
    }
    ++deviations_label_.call;
    deviations_->start(deviations_label_);
    const double* sums = deviations_->wait();
    std::vector<LayerNoise> noise(layers_.size());
    for (LayerNoise& layer : noise) {
        if (sums[2] > 0) layer = {std::sqrt(sums[0] / sums[2]), std::sqrt(sums[1] / sums[2])};
        sums += sums_per_layer;
    }
    return noise;
}

template class StatisticsNoise<float>;
template class StatisticsNoise<double>;

}  // namespace lockstep
