/// The inside of BatchMoments: what forward writes into it, and what backward reads.
#pragma once

#include "channel_coefficients.hpp"

#include <lockstep/norm/batch_norm_types.hpp>
#include <lockstep/norm/running_averages.hpp>

#include <cstdint>
#include <string>

namespace lockstep {

class SavedStatistics {
  public:
    explicit SavedStatistics(BatchMoments& moments) : moments_(&moments) {}

    /// Makes room, for a forward of this layer with these shapes.
    template <class Scalar>
    void begin(std::uint64_t layer, int groups, Index channels, std::span<const ForwardSlice<Scalar>> slices,
               bool frozen);
    /// Keeps how many values a channel has in a group, and then its moments (see moments.hpp) but for their count, for the
    /// channels of the range: several threads may, each with a range of its own.
    void keep_count(int group, double count);
    void keep(int group, const double* moments, double epsilon, ChannelRange range);
    /// Keeps the running averages in place of every group's moments.
    template <class Scalar>
    void keep(const RunningAverages<Scalar>& averages, double epsilon);

    GroupStatistics group(int group) const { return of(*moments_, group); }

    static GroupStatistics of(const BatchMoments& moments, int group);
    /// Whether the statistics were running averages: constants.
    static bool frozen(const BatchMoments& moments) { return moments.frozen_; }
    /// Throws UsageError unless the moments are of this layer, and of slices of the same shapes.
    template <class Scalar>
    static void require(const BatchMoments& moments, std::uint64_t layer,
                        std::span<const BackwardSlice<Scalar>> slices, const std::string& name);

  private:
    BatchMoments* moments_;
};

}  // namespace lockstep
