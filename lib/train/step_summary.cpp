#include <lockstep/train/step_summary.hpp>

#include <lockstep/norm/moments.hpp>
#include <lockstep/norm/statistics_groups.hpp>

#include <algorithm>

namespace lockstep {
namespace {

constexpr Index sum_values = 5;                // loss, samples, parts of the score
constexpr Index head_values = sum_values + 1;  // and the request, of which the largest counts

}  // namespace

template <class Scalar>
StepSummary<Scalar>::StepSummary(const Communicator& communicator, const ReplicaMap& map,
                                 std::span<BatchNorm<Scalar>* const> layers)
    : layers_(layers), pools_moments_(!layers.empty() && !layers.front()->norm().groups().are_global()) {
    Index values = head_values;
    std::vector<Index> channels;
    if (pools_moments_)
        for (const BatchNorm<Scalar>* layer : layers_) {
            offsets_.push_back(values);
            channels.push_back(layer->norm().channels());
            values += moments_size(channels.back());
        }
    const auto merge = [channels](double* left, const double* right) {
        for (Index i = 0; i < sum_values; ++i) left[i] += right[i];
        left[sum_values] = std::max(left[sum_values], right[sum_values]);
        Index offset = head_values;
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
void StepSummary<Scalar>::start(std::uint64_t step, std::span<const StepSums> sums, int request) {
    for (int i = 0; i < static_cast<int>(sums.size()); ++i) {
        double* const leaf = exchange_->leaf(i);
        const StepSums& mine = sums[static_cast<std::size_t>(i)];
        leaf[0] = mine.loss;
        leaf[1] = mine.score.samples;
        std::ranges::copy(mine.score.parts, leaf + 2);
        leaf[sum_values] = request;
        for (std::size_t layer = 0; layer < offsets_.size(); ++layer)
            std::copy_n(layers_[layer]->norm().replica_moments(i),
                        moments_size(layers_[layer]->norm().channels()), leaf + offsets_[layer]);
        exchange_->push(i);
    }
    label_.call = step + 1;
    exchange_->start(label_);
}

template <class Scalar>
StepSums StepSummary<Scalar>::finish() {
    result_ = exchange_->wait();
    return {.loss = result_[0],
            .score = {.samples = result_[1], .parts = {result_[2], result_[3], result_[4]}}};
}

template <class Scalar>
int StepSummary<Scalar>::request() const {
    return static_cast<int>(result_[sum_values]);
}

template <class Scalar>
const double* StepSummary<Scalar>::moments(std::size_t layer) const {
    return pools_moments_ ? result_ + offsets_[layer] : layers_[layer]->norm().group_moments();
}

template class StepSummary<float>;
template class StepSummary<double>;

}  // namespace lockstep
