/// `lockstep bench step` and `scaling`: training steps of a configuration.
#include "benchmark.hpp"
#include "options.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/train/gradient_reducer.hpp>
#include <lockstep/train/trainer.hpp>

#include <memory>
#include <optional>

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

TrainerOptions with(TrainerOptions options, int replicas, const char* mode) {
    options.replicas = replicas;
    options.batch_norm = BatchNormMode::parse(mode);
    return options;
}

}  // namespace

nlohmann::json bench_step(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    const int replicas = options.trainer.replicas.value_or(communicator.size());
    EndlessTrainer alone(with(options.trainer, 1, "local"), data.train, Communicator::self());
    EndlessTrainer local(with(options.trainer, replicas, "local"), data.train, communicator);
    EndlessTrainer sync(with(options.trainer, replicas, "sync"), data.train, communicator);
    GradientReducer<float> exchange(communicator, ReplicaMap(communicator.size(), communicator.size()),
                                    alone.gradients(),
                                    {options.trainer.reduction, options.trainer.gradient_path});
    AlignedVector<float> gradients(static_cast<std::size_t>(alone.gradients()));
    volatile float sink = 0;
    const auto seconds = measure(communicator,
                                 {[&] { alone.step(); }, [&] { local.step(); }, [&] { sync.step(); },
                                  [&] {
                                      write_values(exchange.cover().front(), alone.gradients());
                                      sink = read_values(exchange.finish(), alone.gradients());
                                  },
                                  [&] {
                                      write_values(gradients.data(), alone.gradients());
                                      sink = read_values(gradients.data(), alone.gradients());
                                  }},
                                 step_turns);
    BenchTable table(communicator,
                     "Step of " + std::to_string(options.trainer.batch_size) + " samples per replica, " +
                         std::to_string(replicas) + " replicas on " + std::to_string(communicator.size()) +
                         " ranks, gradients through " +
                         (exchange.shares_memory() ? "shared memory" : "messages") + ", us",
                     {{"part", 44}, {"us", 10}});
    const double exchanged = seconds[3] - seconds[4], exposed = seconds[1] - seconds[0];
    table.row({"computation (each rank one replica of its own)", seconds[0] * 1e6});
    table.row({"step, local statistics", seconds[1] * 1e6});
    table.row({"step, synchronized statistics", seconds[2] * 1e6});
    table.row({"statistics exchange (sync - local)", (seconds[2] - seconds[1]) * 1e6});
    table.row({"gradient exchange by itself", exchanged * 1e6});
    table.row({"gradient exchange exposed (local - computation)", exposed * 1e6});
    table.row({"gradient exchange hidden", (exchanged - exposed) * 1e6});
    return table.rows();
}

nlohmann::json bench_scaling(const Communicator& communicator, const RunOptions& options) {
    const DatasetPair data = load_dataset(options.data);
    BenchTable table(communicator,
                     "Samples per second, sync; weak: " + std::to_string(options.trainer.batch_size) +
                         " samples per rank, strong: " + std::to_string(options.trainer.batch_size) +
                         " samples in all",
                     {{"ranks", 6},
                      {"weak samples/s", 15, 0},
                      {"speed-up", 9, 2},
                      {"strong samples/s", 17, 0},
                      {"speed-up ", 9, 2}});
    double weak_one = 0, strong_one = 0;
    for (int ranks = 1; ranks <= communicator.size(); ++ranks) {
        // All ranks take part in the measurement; those beyond `ranks` only wait.
        const bool works = communicator.rank() < ranks;
        const Communicator part = communicator.split(works ? 0 : 1, communicator.rank());
        TrainerOptions weak = with(options.trainer, ranks, "sync"), strong = weak;
        strong.batch_size = std::max<Index>(1, options.trainer.batch_size / ranks);
        std::optional<EndlessTrainer> weak_steps, strong_steps;
        if (works) {
            weak_steps.emplace(weak, data.train, part);
            strong_steps.emplace(strong, data.train, part);
        }
        // Of fixed length, for ranks that wait cannot know how often the others repeat.
        constexpr int steps = 50;
        const auto turn = [&](std::optional<EndlessTrainer>& trainer) {
            if (!trainer) return;
            for (int i = 0; i < steps; ++i) trainer->step();
        };
        const auto seconds = measure(communicator, {[&] { turn(weak_steps); }, [&] { turn(strong_steps); }},
                                     {.rounds = 9, .seconds_per_turn = 0});
        const double weak_rate = steps * static_cast<double>(weak.batch_size * ranks) / seconds[0];
        const double strong_rate = steps * static_cast<double>(strong.batch_size * ranks) / seconds[1];
        if (ranks == 1) {
            weak_one = weak_rate;
            strong_one = strong_rate;
        }
        table.row({ranks, weak_rate, weak_rate / weak_one, strong_rate, strong_rate / strong_one});
    }
    return table.rows();
}

}  // namespace lockstep::launch
