#include <lockstep/train/data_survey.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/replica_map.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/data/sample_reader.hpp>
#include <lockstep/norm/moments.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

namespace lockstep {
namespace {

constexpr Index block_bytes = Index{1} << 16;
constexpr Index most_blocks = Index{1} << 20;
constexpr Index hashed_bytes = Index{1} << 30;  // of inputs, where there are more
constexpr Index spots = 64;

/// How a data set is cut into blocks.
struct Blocks {
    explicit Blocks(const Dataset& data) : samples(data.size()) {
        check_outline(data);
        const Index bytes =
            (data.input_shape().size() + data.target().size()) * static_cast<Index>(sizeof(double));
        length = std::max<Index>({1, block_bytes / bytes, (samples - 1) / most_blocks + 1});
        count = (samples - 1) / length + 1;
        const Index value_bytes = data.precision() == InputPrecision::double_values ? 8 : 4;
        hashed =
            std::clamp<Index>(hashed_bytes / (length * data.input_shape().size() * value_bytes), 1, count);
    }

    Index begin(Index block) const { return block * length; }
    Index end(Index block) const { return std::min(samples, (block + 1) * length); }
    /// Whether a block is among `some` that lie evenly, the first and the last included.
    bool is_among(Index block, Index some) const {
        if (some >= count) return true;
        if (some == 1 || block == 0) return block == 0;
        return block * (some - 1) / (count - 1) > (block - 1) * (some - 1) / (count - 1);
    }

    Index samples;
    Index length;  ///< samples in each block but the last
    Index count;
    Index hashed;  ///< blocks whose inputs are hashed unless all are asked for
};

/// Reads blocks, with the inputs in the type that holds them exactly.
template <class Value>
class BlockReader {
  public:
    BlockReader(const Dataset& data, const Blocks& blocks)
        : data_(data),
          blocks_(blocks),
          inputs_(static_cast<std::size_t>(blocks.length * data.input_shape().size())),
          targets_(static_cast<std::size_t>(blocks.length * data.target().size())) {}

    /// The hash of a block's targets, and of its inputs if they are wanted.
    std::uint64_t hash(Index block, bool with_inputs) {
        if (with_inputs) data_.prefetch(blocks_.begin(block), blocks_.end(block) - blocks_.begin(block));
        Hash64 hash;
        hash.add_value(static_cast<std::int64_t>(block));
        const Index width = data_.target().size();
        for (Index sample = blocks_.begin(block); width > 0 && sample < blocks_.end(block); ++sample) {
            double* const target = targets_.data() + (sample - blocks_.begin(block)) * width;
            data_.read_target(sample, target);
            check_target(data_, sample, target);
        }
        const auto samples = static_cast<std::size_t>(blocks_.end(block) - blocks_.begin(block));
        hash.add(std::as_bytes(std::span(targets_).first(samples * static_cast<std::size_t>(width))));
        if (with_inputs) {
            read_inputs(block);
            hash.add(std::as_bytes(std::span(inputs_).first(samples * values())));
        }
        return hash.value();
    }

    /// Of a block that was hashed.
    void check_labels(Index block) const {
        const double* target = targets_.data();
        for (Index sample = blocks_.begin(block); sample < blocks_.end(block); ++sample) {
            lockstep::check_labels(data_, sample, target);
            target += data_.target().size();
        }
    }

    /// The moments of a block whose inputs have been read, per channel: exact sums in the order of the values.
    void moments(Index block, double* into) const {
        const Index channels = data_.input_shape().channels;
        const Index rows = (blocks_.end(block) - blocks_.begin(block)) * data_.input_shape().pixels();
        const MomentsView<double> view{into, channels};
        view.count() = static_cast<double>(rows);
        const Value* row = inputs_.data();
        for (Index i = 0; i < rows; ++i, row += channels)
            for (Index c = 0; c < channels; ++c) view.mean()[c] += static_cast<double>(row[c]);
        for (Index c = 0; c < channels; ++c) view.mean()[c] /= view.count();
        row = inputs_.data();
        for (Index i = 0; i < rows; ++i, row += channels)
            for (Index c = 0; c < channels; ++c) {
                const double deviation = static_cast<double>(row[c]) - view.mean()[c];
                view.m2()[c] += deviation * deviation;
            }
    }

    void read_inputs(Index block) {
        Value* next = inputs_.data();
        for (Index sample = blocks_.begin(block); sample < blocks_.end(block); ++sample, next += values()) {
            data_.read_input(sample, next);
            check_input(data_, sample, next);
        }
    }

  private:
    std::size_t values() const { return static_cast<std::size_t>(data_.input_shape().size()); }

    const Dataset& data_;
    const Blocks& blocks_;
    std::vector<Value> inputs_;
    std::vector<double> targets_;
};

/// Runs `action` with a reader of the data set's own type.
template <class Action>
auto with_reader(const Dataset& data, const Blocks& blocks, Action action) {
    if (data.precision() == InputPrecision::double_values) {
        BlockReader<double> reader(data, blocks);
        return action(reader);
    }
    BlockReader<float> reader(data, blocks);
    return action(reader);
}

/// A sum modulo 2⁶⁴ as a sum of doubles that is exact: in four parts of 16 bits.
constexpr Index hash_parts = 4;
/// Behind them: how many blocks could not be read.
constexpr Index faults_at = hash_parts;
constexpr Index moments_at = faults_at + 1;

void write_parts(std::uint64_t hash, double* parts) {
    for (Index k = 0; k < hash_parts; ++k) parts[k] = static_cast<double>(hash >> (16 * k) & 0xffff);
}

std::uint64_t from_parts(const double* parts) {
    std::uint64_t hash = 0;
    for (Index k = 0; k < hash_parts; ++k) hash += static_cast<std::uint64_t>(parts[k]) << (16 * k);
    return hash;
}

/// left ← left ⊕ right, where nothing but zeros stands for no block at all, and changes no bit.
void merge(double* left, const double* right, Index channels) {
    for (Index k = 0; k < moments_at; ++k) left[k] += right[k];
    if (channels == 0 || right[moments_at] == 0) return;
    merge_moments(left + moments_at, right + moments_at, channels);
}

}  // namespace

std::string outline(const Dataset& data) {
    return std::to_string(data.size()) + " samples of " + data.input_shape().to_string() + " " +
           data.target().to_string();
}

std::uint64_t spot_check(const Dataset& data) {
    const Blocks blocks(data);
    return with_reader(data, blocks, [&](auto& reader) {
        std::uint64_t sum = 0;
        for (Index block = 0; block < blocks.count; ++block)
            if (blocks.is_among(block, spots)) sum += reader.hash(block, true);
        return sum;
    });
}

DataSurvey survey(const Dataset& data, const Communicator& communicator, const SurveyOptions& options) {
    const Blocks blocks(data);
    const Index channels = options.moments ? data.input_shape().channels : 0;
    const Index values = moments_at + (channels > 0 ? moments_size(channels) : 0);
    // A power of two: then the tree over the blocks is the same whatever stands, empty, to the right of them.
    const auto leaves =
        std::bit_ceil(static_cast<std::uint64_t>(std::max<Index>(blocks.count, communicator.size())));
    TreeExchange exchange(communicator, ReplicaMap(static_cast<int>(leaves), communicator.size()),
                          {0, static_cast<int>(leaves)}, static_cast<std::size_t>(values),
                          [channels](double* left, const double* right) { merge(left, right, channels); });
    std::string fault;
    const auto look_at = [&](auto& reader, Index block, double* leaf) {
        const bool hashed = options.whole || blocks.is_among(block, blocks.hashed);
        write_parts(reader.hash(block, hashed), leaf);
        if (options.labels) reader.check_labels(block);
        if (channels > 0) {
            if (!hashed) reader.read_inputs(block);
            reader.moments(block, leaf + moments_at);
        }
        if (hashed || channels > 0) data.check_unchanged();
    };
    with_reader(data, blocks, [&](auto& reader) {
        for (int i = 0; i < exchange.hosted().size(); ++i) {
            const Index block = exchange.hosted().begin + i;
            double* const leaf = exchange.leaf(i);
            std::fill_n(leaf, values, 0.0);
            if (block < blocks.count && fault.empty())
                fault = fault_of([&] { look_at(reader, block, leaf); });
            if (!fault.empty()) leaf[faults_at] = 1;
            exchange.push(i);
        }
    });
    exchange.start(ExchangeLabel(outline(data), ExchangeKind::gather, channels, 0));
    const double* const result = exchange.wait();
    if (result[faults_at] > 0) check_agreement(communicator, "reading the data", {}, fault);

    DataSurvey found{.description = outline(data) + ", hash " + to_hex16(from_parts(result))};
    if (channels > 0) {
        const MomentsView<const double> moments{result + moments_at, channels};
        for (Index c = 0; c < channels; ++c) {
            found.means.push_back(moments.mean()[c]);
            found.deviations.push_back(std::sqrt(moments.m2()[c] / moments.count()));
        }
    }
    return found;
}

InputTransform input_transform(InputKind kind, const Dataset& data, const DataSurvey& found) {
    const Shape shape = data.input_shape();
    if (kind != InputKind::standardized) return {kind, shape};
    for (std::size_t c = 0; c < found.deviations.size(); ++c)
        if (!std::isfinite(found.means[c]) || !std::isfinite(found.deviations[c]))
            throw NumericalError("data set " + data.name() + ": the values of " +
                                 (shape.pixels() > 1 ? "channel " : "feature ") + std::to_string(c) +
                                 " are too large to be standardized: scale them down");
    std::vector<double> divisors = found.deviations;
    for (double& divisor : divisors)
        if (divisor == 0) divisor = 1;
    return {kind, shape, found.means, std::move(divisors)};
}

}  // namespace lockstep
