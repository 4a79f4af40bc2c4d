/// `lockstep bench step` and `scaling`: training steps of a configuration.
#include "benchmark.hpp"
#include "options.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/gradient_sum.hpp>
#include <lockstep/data/load_dataset.hpp>
#include <lockstep/data/subset.hpp>
#include <lockstep/train/trainer.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace lockstep::launch {
namespace {

/// Turns of several steps each; a step is far longer than the clock's grain.
constexpr MeasureOptions step_turns{.rounds = 15, .seconds_per_turn = 50e-3};

/// A training run whose steps can be called one after the other for ever.
class EndlessTrainer {
  public:
    EndlessTrainer(const TrainerOptions& options, const Dataset& data, const Communicator& communicator)
        : trainer_(options, data, communicator) {}

    void step() {
        trainer_.step(next_);
        next_ = (next_ + 1) % trainer_.steps_per_epoch();
    }
    Index gradients() { return static_cast<Index>(trainer_.network().parameters().size()); }

  private:
    Trainer<float> trainer_;
    Index next_ = 0;
};

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
nlohmann::json resolved(double microseconds) {
    return microseconds > 0 ? nlohmann::json(microseconds) : nlohmann::json("not resolved");
}

TrainerOptions with(TrainerOptions options, int replicas, const char* mode) {
    options.replicas = replicas;
    options.batch_norm = BatchNormMode::parse(mode);
    return options;
}

}  // namespace

nlohmann::json bench_step(const Communicator& communicator, const RunOptions& options) {
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
         }},
        step_turns);
    BenchTable table(communicator,
                     "Step of " + std::to_string(options.trainer.batch_size) + " samples per replica, " +
                         std::to_string(replicas) + " replicas on " + std::to_string(communicator.size()) +
                         " ranks, gradients " + exchange->path() + ", us",
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
    return table.rows();
}

namespace {

/// The same training on the first `ranks` ranks of all, in three forms (not on the others, which only wait).
struct ScalingCase {
    std::optional<EndlessTrainer> weak, strong, apart;
};

/// Of fixed length, for ranks that wait cannot know how often the others repeat.
constexpr int steps_per_turn = 50;

void take_turn(std::optional<EndlessTrainer>& trainer) {
    if (!trainer) return;
    for (int i = 0; i < steps_per_turn; ++i) trainer->step();
}

}  // namespace

nlohmann::json bench_scaling(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    const Index batch = options.trainer.batch_size;
    std::vector<std::unique_ptr<ScalingCase>> cases;
    std::vector<std::function<void()>> turns;  // of all cases alternately, so that all meet the same machine
    for (int ranks = 1; ranks <= communicator.size(); ++ranks) {
        ScalingCase& one = *cases.emplace_back(std::make_unique<ScalingCase>());
        const bool works = communicator.rank() < ranks;
        const Communicator part = communicator.split(works ? 0 : 1, communicator.rank());
        if (works) {
            TrainerOptions weak = with(options.trainer, ranks, "sync"), strong = weak;
            strong.batch_size = std::max<Index>(1, batch / ranks);
            one.weak.emplace(weak, *data.train, part);
            one.strong.emplace(strong, *data.train, part);
            one.apart.emplace(with(options.trainer, 1, "sync"), *data.train, Communicator::self());
        }
        for (auto* trainer : {&one.weak, &one.apart, &one.strong})
            turns.emplace_back([trainer] { take_turn(*trainer); });
    }
    const auto seconds = measure(communicator, turns, {.rounds = 15, .seconds_per_turn = 0});

    BenchTable table(
        communicator,
        "Samples per second, sync; weak: " + std::to_string(batch) +
            " samples per rank; apart: as weak, but without any exchange, which is what the machine "
            "has to give; strong: " +
            std::to_string(batch) + " samples in all",
        {{"ranks", 6},
         {"weak samples/s", 15, 0},
         {"speed-up", 9, 2},
         {"apart samples/s", 16, 0},
         {"speed-up ", 9, 2},
         {"strong samples/s", 17, 0},
         {"speed-up  ", 9, 2}});
    const auto rate = [&](std::size_t turn, Index samples) {
        return steps_per_turn * static_cast<double>(samples) / seconds[turn];
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const auto ranks = static_cast<Index>(i + 1);
        const double weak = rate(3 * i, batch * ranks), apart = rate(3 * i + 1, batch * ranks);
        const double strong = rate(3 * i + 2, std::max<Index>(1, batch / ranks) * ranks);
        table.row({ranks, weak, weak / rate(0, batch), apart, apart / rate(1, batch), strong,
                   strong / rate(2, batch)});
    }
    return table.rows();
}

}  // namespace lockstep::launch
