#include <lockstep/nn/fold.hpp>
#include <lockstep/nn/layer_factory.hpp>

#include <algorithm>
#include <vector>

namespace lockstep {
namespace {

/// The layers of a network once more, for one process.
template <class Scalar>
std::unique_ptr<Sequence<Scalar>> layers_like(const Network<Scalar>& network) {
    BatchNormSetup alone = network.setup();
    alone.communicator = Communicator::self();
    alone.placement = {};
    return make_sequence<Scalar>(network.model().layers(), network.input_shape(), alone);
}

}  // namespace

template <class Scalar>
FoldedNetwork<Scalar>::FoldedNetwork(const Network<Scalar>& network)
    : layers_(layers_like(network)), store_(network.layout()) {
    ParameterLayout layout;  // the network's
    layers_->place(layout, "");
    layers_->bind(store_);
    std::ranges::copy(network.parameters(), store_.parameters.begin());
    std::ranges::copy(network.averages(), store_.averages.begin());
    layers_->fold_batch_norms();
    std::vector<BatchNorm<Scalar>*> left;
    layers_->collect_batch_norms(left);
    batch_norms_ = left.size();
}

template class FoldedNetwork<float>;
template class FoldedNetwork<double>;

}  // namespace lockstep
