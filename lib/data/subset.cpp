#include <lockstep/data/subset.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lockstep {

Subset::Subset(std::shared_ptr<const Dataset> whole, Index first, Index count,
               std::optional<KeyedBijection> order)
    : whole_(std::move(whole)), first_(first), count_(count), order_(std::move(order)) {
    if (first < 0 || count < 1 || first > whole_->size() - count)
        throw UsageError("the data set " + whole_->name() + " has " + std::to_string(whole_->size()) +
                         " samples: " + std::to_string(count) + " from number " + std::to_string(first) +
                         " on cannot be taken");
}

void Subset::prefetch(Index first, Index count) const {
    if (!order_) return whole_->prefetch(first_ + first, count);
    for (Index i = 0; i < count; ++i) whole_->prefetch(index(first + i), 1);
}

std::shared_ptr<const Dataset> first_samples(std::shared_ptr<const Dataset> data, Index count) {
    if (count < 1)
        throw UsageError("the data set " + data->name() + " cannot be cut to " + std::to_string(count) +
                         " samples; keep at least 1");
    if (count >= data->size()) return data;
    return std::make_shared<Subset>(std::move(data), 0, count);
}

DatasetPair split(const std::shared_ptr<const Dataset>& data, double share, std::uint64_t seed) {
    if (!(share > 0 && share < 1))
        throw UsageError("the share of the samples that is set aside must lie between 0 and 1, not be " +
                         shortest_text(share));
    const Index size = data->size();
    if (size < 2) throw UsageError("the data set " + data->name() + " has one sample: it cannot be split");
    const auto wanted = static_cast<Index>(std::llround(share * static_cast<double>(size)));
    const Index test = std::clamp<Index>(wanted, 1, size - 1);
    const KeyedBijection order(static_cast<std::uint64_t>(size),
                               RandomStream(seed, RandomPurpose::test_split, 0));
    return {std::make_shared<Subset>(data, test, size - test, order),
            std::make_shared<Subset>(data, 0, test, order)};
}

}  // namespace lockstep
