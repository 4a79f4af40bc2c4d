/// `lockstep bench step`: what a training step of a configuration consists of.
#include "benchmark.hpp"
#include "endless_trainer.hpp"
#include "options.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/paged_array.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/data/load_dataset.hpp>
#include <lockstep/data/subset.hpp>
#include <lockstep/train/node_parameters.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

namespace lockstep::launch {
namespace {

/// Turns of several steps each; a step is far longer than the clock's grain.
constexpr MeasureOptions step_turns{.rounds = 15, .seconds_per_turn = 50e-3};

/// The first samples of a data set as arrays, which are read without a file system.
class InMemory final : public Dataset {
  public:
    explicit InMemory(const std::shared_ptr<const Dataset>& data) : data_(first_samples(data, most_samples)) {
        inputs_.resize(static_cast<std::size_t>(data_->size() * input_size_));
        targets_.resize(static_cast<std::size_t>(data_->size() * target_size_));
        for (Index i = 0; i < data_->size(); ++i) {
            data_->read_input(i, inputs_.data() + i * input_size_);
            data_->read_target(i, targets_.data() + i * target_size_);
        }
    }

    std::string name() const override { return data_->name(); }
    Index size() const override { return data_->size(); }
    Shape input_shape() const override { return data_->input_shape(); }
    Target target() const override { return data_->target(); }
    InputPrecision precision() const override { return data_->precision(); }
    void read_input(Index i, double* values) const override {
        std::copy_n(inputs_.data() + i * input_size_, input_size_, values);
    }
    void read_input(Index i, float* values) const override {
        std::copy_n(inputs_.data() + i * input_size_, input_size_, values);
    }
    void read_target(Index i, double* values) const override {
        std::copy_n(targets_.data() + i * target_size_, target_size_, values);
    }

  private:
    static constexpr Index most_samples = 10'000;

    std::shared_ptr<const Dataset> data_;
    Index input_size_ = data_->input_shape().size(), target_size_ = data_->target().size();
    std::vector<float> inputs_;
    std::vector<double> targets_;
};

/// A difference of two measurements that is lost in their noise is none, least of all a time below zero.
BenchValue resolved(double microseconds) {
    return microseconds > 0 ? BenchValue(microseconds) : BenchValue("not resolved");
}

/// Steps optimizers alone, with gradients of zeros: all parameters on each rank, and as in training. Then each rank reads
/// all parameters, as the next step does.
class OptimizerSteps {
  public:
    OptimizerSteps(const OptimizerOptions& options, Index parameters, const Communicator& communicator)
        : gradients_(static_cast<std::size_t>(parameters)),
          own_(static_cast<std::size_t>(parameters)),
          nodes_(parameters),
          alone_(options, parameters, {}),
          shared_(options, parameters, {}),
          node_(communicator, nodes_.memory(), shared_) {}

    float step_all() {
        alone_.step(own_, gradients_, rate);
        return read_values(own_.data(), std::ssize(own_));
    }
    float step_share() {
        const ParameterRange share = node_.share();
        node_.step(std::span<const float>(gradients_)
                       .subspan(static_cast<std::size_t>(share.begin),
                                static_cast<std::size_t>(share.end - share.begin)),
                   rate);
        node_.end_step();
        return read_values(nodes_.data(), std::ssize(own_));
    }

  private:
    static constexpr double rate = 1e-9;

    AlignedVector<float> gradients_, own_;
    PagedArray<float> nodes_;
    Optimizer<float> alone_, shared_;
    NodeParameters<float> node_;
};

}  // namespace

std::vector<BenchRow> bench_step(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    const int replicas = options.trainer.replicas.value_or(communicator.size());
    EndlessTrainer alone(with(options.trainer, 1, "local"), *data.train, Communicator::self());
    const InMemory in_memory(data.train);
    EndlessTrainer reading_memory(with(options.trainer, 1, "local"), in_memory, Communicator::self());
    EndlessTrainer local(with(options.trainer, replicas, "local"), *data.train, communicator);
    EndlessTrainer sync(with(options.trainer, replicas, "sync"), *data.train, communicator);
    const auto exchange = GradientSum<float>::create(
        communicator, ReplicaMap(communicator.size(), communicator.size()), alone.gradients(),
        {options.trainer.reduction, options.trainer.gradient_path});
    AlignedVector<float> gradients(static_cast<std::size_t>(alone.gradients()));
    OptimizerSteps optimizer(options.trainer.optimizer, alone.gradients(), communicator);
    volatile float sink = 0;
    const auto seconds = measure(
        communicator,
        {[&] { alone.step(); }, [&] { reading_memory.step(); }, [&] { local.step(); }, [&] { sync.step(); },
         [&] {
             write_values(exchange->cover().front(), alone.gradients());
             sink = read_values(exchange->finish(), alone.gradients());
         },
         [&] {
             write_values(gradients.data(), alone.gradients());
             sink = read_values(gradients.data(), alone.gradients());
         },
         [&] { sink = optimizer.step_all(); }, [&] { sink = optimizer.step_share(); }},
        step_turns);
    BenchTable table(communicator,
                     "Step of " + std::to_string(options.trainer.batch_size) + " samples per replica, " +
                         std::to_string(replicas) + " replicas on " + ranks_and_nodes(communicator) +
                         ", gradients " + exchange->path() + ", us",
                     {{"part", 50}, {"us", 13}});
    const auto [computation, without_files, with_local, with_sync, with_exchange, buffers] =
        std::tuple{seconds[0] * 1e6, seconds[1] * 1e6, seconds[2] * 1e6,
                   seconds[3] * 1e6, seconds[4] * 1e6, seconds[5] * 1e6};
    const double exchanged = with_exchange - buffers, exposed = with_local - computation;
    table.row({"computation (each rank one replica of its own)", computation});
    table.row({"reading (computation - the same, data in memory)", resolved(computation - without_files)});
    table.row({"step, local statistics", with_local});
    table.row({"step, synchronized statistics", with_sync});
    table.row({"statistics exchange (sync - local)", resolved(with_sync - with_local)});
    table.row({"gradient exchange by itself", resolved(exchanged)});
    table.row({"gradient exchange exposed (local - computation)", resolved(exposed)});
    table.row({"gradient exchange hidden", resolved(std::min(exchanged, exchanged - exposed))});
    table.row({"optimizer and reading, if each stepped all", seconds[6] * 1e6});
    table.row({"optimizer and reading, as the node shares it", seconds[7] * 1e6});
    return table.rows();
}

}  // namespace lockstep::launch
