/// A part of a data set: its first samples, or one side of a random split. Computed, not stored: no list of samples.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/keyed_bijection.hpp>
#include <lockstep/data/dataset.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace lockstep {

class LOCKSTEP_EXPORT Subset final : public Dataset {
  public:
    /// The samples at the positions first … first + count − 1 of `order`, or of the data set itself where there is no
    /// order. Throws UsageError unless there are that many, at least one.
    Subset(std::shared_ptr<const Dataset> whole, Index first, Index count,
           std::optional<KeyedBijection> order = std::nullopt);

    std::string name() const override { return whole_->name(); }
    Index size() const override { return count_; }
    Shape input_shape() const override { return whole_->input_shape(); }
    Target target() const override { return whole_->target(); }
    InputPrecision precision() const override { return whole_->precision(); }
    void read_input(Index sample, double* values) const override {
        whole_->read_input(index(sample), values);
    }
    void read_input(Index sample, float* values) const override { whole_->read_input(index(sample), values); }
    void read_target(Index sample, double* values) const override {
        whole_->read_target(index(sample), values);
    }
    void prefetch(Index first, Index count) const override;
    void check_unchanged() const override { whole_->check_unchanged(); }

  private:
    Index index(Index sample) const {
        const Index at = first_ + sample;
        return order_ ? static_cast<Index>((*order_)(static_cast<std::uint64_t>(at))) : at;
    }

    std::shared_ptr<const Dataset> whole_;
    Index first_;
    Index count_;
    std::optional<KeyedBijection> order_;
};

/// The first `count` samples; the data set itself where it has no more. Throws UsageError if count < 1.
LOCKSTEP_EXPORT std::shared_ptr<const Dataset> first_samples(std::shared_ptr<const Dataset> data,
                                                             Index count);

struct DatasetPair {
    std::shared_ptr<const Dataset> train;
    std::shared_ptr<const Dataset> test;  ///< may be null: nothing to test on
};

/// Sets `share` of the samples, rounded and at least one, aside for testing: which ones is a function of the seed and of
/// how many there are. Throws UsageError unless 0 < share < 1 and both sides have a sample.
LOCKSTEP_EXPORT DatasetPair split(const std::shared_ptr<const Dataset>& data, double share,
                                  std::uint64_t seed);

}  // namespace lockstep
