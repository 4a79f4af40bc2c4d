#include <lockstep/train/first_replica_averages.hpp>

#include <algorithm>

namespace lockstep {

template <class Scalar>
FirstReplicaAverages<Scalar>::FirstReplicaAverages(const Communicator& communicator, Network<Scalar>& network)
    : communicator_(communicator), network_(network) {
    if (communicator_.rank() != 0) return;
    for (const BatchNorm<Scalar>* layer : network_.batch_norms())
        first_.emplace_back(layer->norm().channels(), layer->norm().options().momentum, layer->norm().name());
}

template <class Scalar>
void FirstReplicaAverages<Scalar>::update() {
    for (std::size_t i = 0; i < first_.size(); ++i)
        first_[i].update(network_.batch_norms()[i]->norm().group_moments());
}

template <class Scalar>
void FirstReplicaAverages<Scalar>::replace_running_averages() {
    std::vector<Scalar> mine;
    std::size_t values = 0;
    for (std::size_t i = 0; i < network_.batch_norms().size(); ++i) {
        values += 2 * static_cast<std::size_t>(network_.batch_norms()[i]->norm().channels());
        if (first_.empty()) continue;
        mine.insert(mine.end(), first_[i].mean().begin(), first_[i].mean().end());
        mine.insert(mine.end(), first_[i].var().begin(), first_[i].var().end());
    }
    // Everybody's bytes go to everybody; only rank 0 has any.
    std::vector<Scalar> all(values);
    std::vector<int> bytes(static_cast<std::size_t>(communicator_.size()), 0);
    bytes[0] = static_cast<int>(values * sizeof(Scalar));
    communicator_.all_gather(mine.data(), all.data(), bytes, "sharing the first replica's running averages");
    auto next = all.begin();
    for (BatchNorm<Scalar>* layer : network_.batch_norms())
        for (const std::span<Scalar> average : {layer->norm().running_mean(), layer->norm().running_var()}) {
            std::copy_n(next, average.size(), average.begin());
            next += static_cast<std::ptrdiff_t>(average.size());
        }
}

template class FirstReplicaAverages<float>;
template class FirstReplicaAverages<double>;

}  // namespace lockstep
