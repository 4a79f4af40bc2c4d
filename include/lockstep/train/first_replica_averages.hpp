/// The running averages that a training has if nobody pools them: those of the first replica (or of its
/// statistics group), which is what other frameworks save. Kept beside the network's own, for comparison.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/nn/network.hpp>

#include <vector>

namespace lockstep {

/// Follows a network whose rank 0 hosts the first replica, and changes nothing in it; the network outlives
/// it. Instantiated for float and double.
template <class Scalar>
class LOCKSTEP_EXPORT FirstReplicaAverages {
  public:
    /// Starts from fresh averages, mean 0 and variance 1.
    FirstReplicaAverages(const Communicator& communicator, Network<Scalar>& network);

    /// Takes in the moments of the last training pass, by the arithmetic of the network's own averages.
    /// Not collective.
    void update();
    /// Writes the averages into the network's, the same on every rank. Collective. Throws CommunicationError.
    void replace_running_averages();

  private:
    Communicator communicator_;
    Network<Scalar>& network_;
    std::vector<RunningAverages<Scalar>> first_;  // of each layer; on rank 0 alone
};

extern template class FirstReplicaAverages<float>;
extern template class FirstReplicaAverages<double>;

}  // namespace lockstep
