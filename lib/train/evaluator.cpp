#include <lockstep/train/evaluator.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/failure_guard.hpp>
#include <lockstep/comm/tree_exchange.hpp>
#include <lockstep/data/sample_reader.hpp>
#include <lockstep/norm/moments.hpp>
#include <lockstep/train/chunk_inference.hpp>
#include <lockstep/train/data_survey.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

namespace lockstep {
namespace {

/// Where the sums of a chunk lie in an array of doubles: moments of the targets (of a regression, to measure R²
/// against), then what is only added up: loss, samples, parts of the score, faults, and what the task asks for.
struct Layout {
    Layout(Task task, const Target& target)
        : moments_of(task == Task::regression ? target.values : 0),
          first_sum(moments_of > 0 ? moments_size(moments_of) : 0),
          faults(first_sum + 5),
          detail(faults + 1),
          size(detail) {
        const Index classes = target.classes;
        if (task == Task::classification) size += 1 + (classes <= largest_confusion ? classes * classes : 0);
        if (task == Task::regression) size += 2 * target.values;
        if (task == Task::labels) size += 3 * target.values;
    }

    Index moments_of;
    Index first_sum;
    Index faults;  ///< chunks that could not be read
    Index detail;  ///< top-5 and confusion; Σ|e| and Σe² of each value; TP, FP, FN of each label
    Index size;

    /// left ← left ⊕ right, where nothing but zeros stands for no chunk at all.
    void merge(double* left, const double* right) const {
        if (moments_of > 0 && right[0] > 0) merge_moments(left, right, moments_of);
        for (Index i = first_sum; i < size; ++i) left[i] += right[i];
    }
};

/// Infers chunks of a data set one at a time.
template <class Scalar>
class ChunkEvaluator {
  public:
    ChunkEvaluator(const Network<Scalar>& network, const Dataset& data, const InputTransform& transform,
                   const Loss& loss, Task task, const Layout& layout)
        : network_(network),
          data_(data),
          inference_(network.layers(), data, transform),
          loss_(loss, data.target(), network.output_shape().size()),
          task_(task),
          layout_(layout),
          targets_(static_cast<std::size_t>(inference_.chunk_samples * data.target().size())) {}

    /// Writes the sums over a chunk to zeros.
    void evaluate(Index chunk, double* sums) {
        const Tensor<const Scalar> outputs = inference_.infer(chunk);
        const Index begin = inference_.first_sample(chunk), count = outputs.batch;
        const Index width = data_.target().size();
        for (Index i = 0; i < count; ++i) {
            double* const target = targets_.data() + i * width;
            inference_.reader().read_target(begin + i, target);
            if (task_ == Task::labels) check_labels(data_, begin + i, target);
        }
        const auto targets = std::span<const double>(targets_).first(static_cast<std::size_t>(count * width));
        const ScoreSums score = score_sums(task_, data_.target(), outputs, targets);
        double* const common = sums + layout_.first_sum;
        common[0] = loss_.sum(outputs, targets);
        common[1] = score.samples;
        std::ranges::copy(score.parts, common + 2);
        for (Index i = 0; i < count; ++i)
            add_details(outputs.data + i * outputs.shape.size(), scored_outputs(data_.target()),
                        targets_.data() + i * width, sums);
        if (layout_.moments_of > 0) add_moments(count, sums);
    }

  private:
    /// `width`: classes, values or labels; of more outputs the first are scored.
    void add_details(const Scalar* outputs, Index width, const double* target, double* sums) const {
        double* const detail = sums + layout_.detail;
        switch (task_) {
            case Task::classification: {
                const auto label = static_cast<Index>(*target);
                // The label's place among the outputs, equals before it first.
                const auto larger = std::count_if(outputs, outputs + width,
                                                  [&](Scalar value) { return value > outputs[label]; }) +
                                    std::count(outputs, outputs + label, outputs[label]);
                if (larger < 5) ++detail[0];
                if (width <= largest_confusion)
                    ++detail[1 + label * width +
                             predicted_class(std::span(outputs, static_cast<std::size_t>(width)))];
                break;
            }
            case Task::regression:
                for (Index j = 0; j < width; ++j) {
                    const double error = static_cast<double>(outputs[j]) - target[j];
                    detail[2 * j] += std::abs(error);
                    detail[2 * j + 1] += error * error;
                }
                break;
            case Task::labels:
                for (Index j = 0; j < width; ++j) {
                    const bool on = outputs[j] > 0, should_be = target[j] >= 0.5;
                    detail[3 * j] += on && should_be ? 1 : 0;
                    detail[3 * j + 1] += on && !should_be ? 1 : 0;
                    detail[3 * j + 2] += !on && should_be ? 1 : 0;
                }
                break;
        }
    }

    void add_moments(Index count, double* sums) const {
        const MomentsView<double> moments{sums, layout_.moments_of};
        moments.count() = static_cast<double>(count);
        for (Index j = 0; j < layout_.moments_of; ++j) {
            const auto target = [&](Index i) {
                return targets_[static_cast<std::size_t>(i * layout_.moments_of + j)];
            };
            // From the first one, so that those of a constant target are exactly 0.
            double deviations = 0;
            for (Index i = 0; i < count; ++i) deviations += target(i) - target(0);
            const double mean = moments.mean()[j] = target(0) + deviations / moments.count();
            for (Index i = 0; i < count; ++i) moments.m2()[j] += (target(i) - mean) * (target(i) - mean);
        }
    }

    const Network<Scalar>& network_;
    const Dataset& data_;
    ChunkInference<Scalar> inference_;
    BatchLoss<Scalar> loss_;
    Task task_;
    const Layout& layout_;
    std::vector<double> targets_;
};

Index counted(double value) {
    return static_cast<Index>(value);
}

/// From the sums over all samples.
Evaluation result_of(Task task, const Target& target, const Layout& layout, const double* sums) {
    const double* const common = sums + layout.first_sum;
    const double* const detail = sums + layout.detail;
    const ScoreSums score_parts{.samples = common[1], .parts = {common[2], common[3], common[4]}};
    Evaluation result{.task = task,
                      .samples = counted(common[1]),
                      .loss = common[0] / common[1],
                      .score = score(task, score_parts),
                      .classes = target.classes};
    switch (task) {
        case Task::classification:
            result.top5 = detail[0] / common[1];
            for (Index i = 1; i < layout.size - layout.detail; ++i)
                result.confusion.push_back(counted(detail[i]));
            break;
        case Task::regression: {
            const double* const m2 = sums + 1 + target.values;
            for (Index j = 0; j < target.values; ++j) {
                const double squares = detail[2 * j + 1];
                result.values.push_back(
                    {.rmse = std::sqrt(squares / common[1]),
                     .mae = detail[2 * j] / common[1],
                     .r2 = m2[j] > 0 ? 1 - squares / m2[j] : std::numeric_limits<double>::quiet_NaN()});
                result.all.mae += result.values.back().mae / static_cast<double>(target.values);
                result.all.r2 += result.values.back().r2 / static_cast<double>(target.values);
            }
            result.all.rmse = result.score;
            break;
        }
        case Task::labels:
            for (Index j = 0; j < target.values; ++j)
                result.labels.push_back(
                    {counted(detail[3 * j]), counted(detail[3 * j + 1]), counted(detail[3 * j + 2])});
            break;
    }
    return result;
}

}  // namespace

double LabelCounts::f1() const {
    const Index all = 2 * true_positives + false_positives + false_negatives;
    return all == 0 ? 1 : static_cast<double>(2 * true_positives) / static_cast<double>(all);
}

template <class Scalar>
Evaluation evaluate(const Network<Scalar>& network, const Dataset& data, const InputTransform& transform,
                    const Loss& loss, const Communicator& communicator) {
    if (loss == nullptr) throw UsageError("an evaluation needs a loss: parse_loss makes one from its name");
    if (const std::string none = fault_of([&] { check_outline(data); }); !none.empty())
        check_agreement(communicator, "an evaluation", {}, none);  // throws
    const Target target = data.target();
    const Task task = task_of(target, *loss);
    const Layout layout(task, target);
    std::optional<ChunkEvaluator<Scalar>> evaluator;
    std::string fault = fault_of([&] {
        check_outputs(*loss, target, network.output_shape().size());
        evaluator.emplace(network, data, transform, loss, task, layout);
    });

    const Index chunks = ChunkInference<Scalar>::chunks_of(data);
    // A power of two: then the tree over the chunks is the same whatever stands, empty, to the right of them.
    const auto leaves = static_cast<int>(
        std::bit_ceil(static_cast<std::uint64_t>(std::max<Index>(chunks, communicator.size()))));
    TreeExchange exchange(communicator, ReplicaMap(leaves, communicator.size()), {0, leaves},
                          static_cast<std::size_t>(layout.size),
                          [&layout](double* left, const double* right) { layout.merge(left, right); });
    for (int i = 0; i < exchange.hosted().size(); ++i) {
        std::fill_n(exchange.leaf(i), layout.size, 0.0);
        const Index chunk = exchange.hosted().begin + i;
        if (chunk < chunks && fault.empty())
            fault = fault_of([&] { evaluator->evaluate(chunk, exchange.leaf(i)); });
        if (!fault.empty()) exchange.leaf(i)[layout.faults] = 1;
        exchange.push(i);
    }
    exchange.start(
        ExchangeLabel("evaluation of " + outline(data), ExchangeKind::gather, layout.size, sizeof(Scalar)));
    const double* const sums = exchange.wait();
    if (sums[layout.faults] > 0) check_agreement(communicator, "an evaluation", {}, fault);
    return result_of(task, target, layout, sums);
}

#define LOCKSTEP_INSTANTIATE(Scalar)                                                     \
    template LOCKSTEP_EXPORT Evaluation evaluate(const Network<Scalar>&, const Dataset&, \
                                                 const InputTransform&, const Loss&, const Communicator&)
LOCKSTEP_INSTANTIATE(float);
LOCKSTEP_INSTANTIATE(double);
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep
