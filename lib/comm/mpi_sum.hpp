/// The sum that MPI_Iallreduce takes, in an order of its own: `--reduction fast`.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/gradient_sum.hpp>

#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

namespace lockstep {

template <class Scalar>
class MpiSum final : public GradientSum<Scalar> {
  public:
    MpiSum(const Communicator& communicator, const ReplicaMap& map, Index values);
    ~MpiSum() override;

    std::string path() const override { return "by MPI_Allreduce"; }
    void ready(Index offset) override;
    const Scalar* finish() override;

  private:
    using Arrays = std::vector<AlignedVector<Scalar>>;

    void start(Index begin, Index end);

    Communicator communicator_;
    std::shared_ptr<Arrays> arrays_;
    Index values_;
    Index started_;  // the values from here on
    std::vector<MPI_Request> requests_;
};

extern template class MpiSum<float>;
extern template class MpiSum<double>;

}  // namespace lockstep
