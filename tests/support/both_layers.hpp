/// The same layer twice, in C++ and through the C interface: what both compute is to have the same bits.
#pragma once

#include "support/c_handles.hpp"
#include "support/global_batch.hpp"

#include <lockstep/norm/statistics_groups.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace lockstep::testing {

/// What C callers write for these options.
inline lockstep_batch_norm_options c_options_of(const BatchNormOptions& options,
                                                const ReplicaPlacement& placement = {}) {
    lockstep_batch_norm_options result = c_options();
    result.epsilon = options.epsilon;
    if (options.momentum)
        result.momentum = *options.momentum;
    else
        result.cumulative = 1;
    result.affine = options.affine ? 1 : 0;
    result.track_running_averages = options.track_running_averages ? 1 : 0;
    result.frozen = options.frozen ? 1 : 0;
    result.activation =
        options.activation == Activation::relu ? LOCKSTEP_ACTIVATION_RELU : LOCKSTEP_ACTIVATION_NONE;
    result.replicas = placement.replicas.value_or(0);
    result.group = placement.group.value_or(0);
    result.name = options.name.empty() ? nullptr : options.name.c_str();
    return result;
}

template <class Scalar>
std::vector<Scalar> copy_of(std::span<const Scalar> values) {
    return {values.begin(), values.end()};
}

template <class Scalar>
class BothLayers {
  public:
    BothLayers(Index channels, const BatchNormOptions& options, const ReplicaPlacement& placement = {})
        : world_(MPI_COMM_WORLD),
          c_world_(testing::c_world()),
          norm_(channels, world_, options, placement),
          c_norm_(c_layer(c_type<Scalar>, channels, c_world_, c_options_of(options, placement))),
          c_saved_(c_moments()) {}

    SyncBatchNorm<Scalar>& norm() { return norm_; }
    lockstep_batch_norm* c() { return c_norm_.get(); }
    lockstep_moments* c_saved() { return c_saved_.get(); }
    BatchMoments& saved() { return saved_; }
    const Communicator& world() const { return world_; }
    const lockstep_communicator* c_world() const { return c_world_.get(); }

    /// γ and β of the batch.
    void set_parameters(const GlobalBatch<Scalar>& batch) {
        testing::set_parameters(norm_, batch);
        std::ranges::copy(batch.gamma, values(LOCKSTEP_GAMMA).begin());
        std::ranges::copy(batch.beta, values(LOCKSTEP_BETA).begin());
    }

    /// Forward of this rank's part of a batch with one replica on each rank.
    void expect_same_forward(const GlobalBatch<Scalar>& batch) {
        const int part = world_rank();
        const std::vector<Scalar> x = batch.part(batch.x, part);
        std::vector<Scalar> z(x.size()), c_z(x.size());
        norm_.forward(x, z, batch.shape(part), saved_);
        must(lockstep_batch_norm_forward(c(), x.data(), c_z.data(), c_shape(batch.shape(part)), c_saved()));
        EXPECT_EQ(c_z, z);
        expect_same_moments();
        expect_same_state();
    }

    /// Backward after that.
    void expect_same_backward(const GlobalBatch<Scalar>& batch) {
        const int part = world_rank();
        const std::vector<Scalar> x = batch.part(batch.x, part), dz = batch.part(batch.dz, part);
        std::vector<Scalar> dx(x.size()), c_dx(x.size());
        norm_.backward(x, dz, dx, batch.shape(part), saved_);
        must(lockstep_batch_norm_backward(c(), x.data(), dz.data(), c_dx.data(), c_shape(batch.shape(part)),
                                          c_saved()));
        EXPECT_EQ(c_dx, dx);
        expect_same_state();
    }

    void expect_same_inference(const GlobalBatch<Scalar>& batch) {
        std::vector<Scalar> z(batch.x.size()), c_z(batch.x.size());
        norm_.infer(batch.x, z, batch.whole());
        must(lockstep_batch_norm_infer(c(), batch.x.data(), c_z.data(), c_shape(batch.whole())));
        EXPECT_EQ(c_z, z);
    }

    void expect_same_moments() {
        for (int group = 0; group < norm_.groups().size(); ++group) {
            double count = -1;
            const double *mean = nullptr, *variance = nullptr;
            std::int64_t channels = 0;
            must(lockstep_moments_read(c_saved(), group, &count, &mean, &variance, &channels));
            EXPECT_EQ(channels, norm_.channels());
            EXPECT_EQ(count, saved_.count(group));
            EXPECT_EQ(std::vector(mean, mean + channels), copy_of(saved_.mean(group)));
            EXPECT_EQ(std::vector(variance, variance + channels), copy_of(saved_.variance(group)));
        }
    }

    void expect_same_state() {
        const SyncBatchNorm<Scalar>& norm = norm_;
        expect_same(LOCKSTEP_GAMMA, norm.gamma(), "gamma");
        expect_same(LOCKSTEP_BETA, norm.beta(), "beta");
        expect_same(LOCKSTEP_RUNNING_MEAN, norm.running_mean(), "running mean");
        expect_same(LOCKSTEP_RUNNING_VAR, norm.running_var(), "running variance");
        const auto channels = static_cast<std::size_t>(norm.channels());
        expect_same(LOCKSTEP_GAMMA_GRADIENT, norm.gradients().first(channels), "gradient of gamma");
        expect_same(LOCKSTEP_BETA_GRADIENT, norm.gradients().last(channels), "gradient of beta");
        if (!norm.options().track_running_averages) return;
        std::int64_t batches = -1, with_variance = -1;
        must(lockstep_batch_norm_batches_tracked(c(), &batches, &with_variance));
        EXPECT_EQ(batches, norm.averages().batches());
        EXPECT_EQ(with_variance, norm.averages().batches_with_variance());
    }

    std::span<Scalar> values(int which) { return c_values<Scalar>(c_norm_, which); }

  private:
    void expect_same(int which, std::span<const Scalar> expected, const char* what) {
        EXPECT_EQ(copy_of<Scalar>(values(which)), copy_of(expected)) << what;
    }

    Communicator world_;
    CCommunicator c_world_;
    SyncBatchNorm<Scalar> norm_;
    CLayer c_norm_;
    BatchMoments saved_;
    CMoments c_saved_;
};

/// Samples of each rank: different numbers, and none on the last of several.
inline std::vector<Index> uneven_samples() {
    std::vector<Index> sizes;
    for (int rank = 0; rank < world_size(); ++rank) sizes.push_back(rank + 3);
    if (world_size() > 1) sizes.back() = 0;
    return sizes;
}

}  // namespace lockstep::testing
