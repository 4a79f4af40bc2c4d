#include "study_runner.hpp"

#include "initial_weights.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/hash.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/first_replica_averages.hpp>
#include <lockstep/train/statistics_noise.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

namespace lockstep::launch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Index loss_points_per_epoch = 10;
constexpr Index noise_points_per_epoch = 5;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

double relative_distance(std::span<const float> parameters, const std::vector<float>& reference) {
    double difference = 0, length = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const double delta = static_cast<double>(parameters[i]) - static_cast<double>(reference[i]);
        difference += delta * delta;
        length += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
    }
    return std::sqrt(difference / length);
}

/// Brings a network's running averages back at the end of a scope.
class KeptAverages {
  public:
    explicit KeptAverages(Network<float>& network) : layers_(network.batch_norms()) {
        for (const BatchNorm<float>* layer : layers_) kept_.push_back(layer->norm().averages().snapshot());
    }
    ~KeptAverages() {
        for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i]->norm().averages().restore(kept_[i]);
    }
    KeptAverages(const KeptAverages&) = delete;
    KeptAverages& operator=(const KeptAverages&) = delete;

  private:
    std::span<BatchNorm<float>* const> layers_;
    std::vector<RunningAverages<float>::Snapshot> kept_;
};

/// How long steps take, with and without waiting; what happens between steps does not count.
class StepClock {
  public:
    explicit StepClock(const Communicator& communicator) : communicator_(communicator) { start(); }

    void start() {
        start_ = Clock::now();
        waited_ = communicator_.seconds_waited();
    }
    void stop() {
        const double waited = communicator_.seconds_waited() - waited_;
        communicating_.push_back(waited);
        computing_.push_back(seconds_since(start_) - waited);
    }
    double computing() const { return median(computing_); }
    double communicating() const { return median(communicating_); }

  private:
    const Communicator& communicator_;
    Clock::time_point start_;
    double waited_ = 0;
    std::vector<double> computing_, communicating_;
};

class CombinationRun {
  public:
    CombinationRun(const StudyOptions& study, const CombinationPlan& plan, const DatasetPair& data,
                   const DataSurvey& found, const Communicator& communicator, const ReferenceRun* reference,
                   const std::function<void(double)>& progress)
        : study_(study),
          plan_(plan),
          data_(data),
          communicator_(communicator),
          reference_(communicator.rank() == 0 ? reference : nullptr),
          progress_(progress),
          trainer_(run_options_of(study, plan).trainer, *data.train, communicator, found),
          noise_(communicator, trainer_.replica_map(), trainer_.network().batch_norms()),
          clock_(communicator_) {
        if (!study.run.init_from.empty())
            load_initial_weights(study.run, trainer_.transform(), trainer_.network());
        first_averages_.emplace(communicator_, trainer_.network());
    }

    void train(CombinationResult& result) {
        Combination& record = result.record;
        while (trainer_.epoch() < epochs()) {
            StudyEpoch& epoch = record.epochs.emplace_back();
            epoch.epoch = trainer_.epoch() + 1;
            clock_.start();
            const EpochResult trained =
                trainer_.run_epoch([&](const StepResult& step) { observe(step, record); });
            epoch.train_loss = trained.loss;
            epoch.train_score = trained.score;
            evaluate_epoch(epoch);
            keep_parameters(epoch, result.parameters);
        }
        record.fingerprint = to_hex16(fingerprint(trainer_.network()));
        record.compute_seconds = mean_over_ranks(clock_.computing(), communicator_);
        record.communication_seconds = mean_over_ranks(clock_.communicating(), communicator_);
    }

  private:
    Index epochs() const { return study_.run.trainer.schedule.epochs; }

    /// Whether the step is the last of one of `parts` parts of an epoch.
    bool ends_part(Index step, Index parts) const {
        const Index steps = trainer_.steps_per_epoch();
        return step + 1 == steps || (step + 1) * parts / steps != step * parts / steps;
    }

    /// Between two steps: everything that the clock must not count.
    void observe(const StepResult& step, Combination& record) {
        clock_.stop();
        first_averages_->update();
        const double position =
            static_cast<double>(trainer_.epoch()) +
            static_cast<double>(step.step + 1) / static_cast<double>(trainer_.steps_per_epoch());
        recent_loss_ += step.loss;
        ++recent_steps_;
        if (ends_part(step.step, loss_points_per_epoch)) {
            record.losses.push_back({position, recent_loss_ / recent_steps_});
            recent_loss_ = recent_steps_ = 0;
        }
        if (ends_part(step.step, noise_points_per_epoch)) {
            NoisePoint& point = record.noise.emplace_back();
            point.epoch = position;
            for (const LayerNoise& layer : noise_.measure()) {
                point.mean.push_back(layer.mean);
                point.variance.push_back(layer.variance);
            }
        }
        progress_(position / static_cast<double>(epochs()));
        clock_.start();
    }

    Evaluation evaluate_now() {
        return evaluate(trainer_.network(), *data_.test, trainer_.transform(), trainer_.loss(),
                        communicator_);
    }

    void evaluate_epoch(StudyEpoch& epoch) {
        const Evaluation pooled = evaluate_now();
        epoch.pooled_score = pooled.score;
        epoch.test_loss = pooled.loss;
        const bool last = trainer_.epoch() == epochs();
        if (last || study_.averages == AverageKind::first) {
            const KeptAverages kept(trainer_.network());
            first_averages_->replace_running_averages();
            const Evaluation first = evaluate_now();
            epoch.first_score = first.score;
            if (study_.averages == AverageKind::first) epoch.test_loss = first.loss;
        }
        if (!last) return;
        const TrainingModeResult batch = trainer_.evaluate_in_training_mode(*data_.test);
        if (batch.samples > 0) epoch.batch_score = batch.score;
        if (trainer_.options().precise_batches > 0) {
            const KeptAverages kept(trainer_.network());
            trainer_.recompute_running_averages();
            epoch.precise_score = evaluate_now().score;
        }
    }

    void keep_parameters(StudyEpoch& epoch, ReferenceRun& run) {
        const std::span<const float> parameters = trainer_.network().parameters();
        if (plan_.mode.scope == StatisticsScope::sync) {
            if (communicator_.rank() == 0) run.emplace_back(parameters.begin(), parameters.end());
            return;
        }
        const auto index = static_cast<std::size_t>(epoch.epoch - 1);
        if (reference_ && index < reference_->size() && (*reference_)[index].size() == parameters.size())
            epoch.drift = relative_distance(parameters, (*reference_)[index]);
    }

    const StudyOptions& study_;
    const CombinationPlan& plan_;
    const DatasetPair& data_;
    Communicator communicator_;
    const ReferenceRun* reference_;
    const std::function<void(double)>& progress_;
    Trainer<float> trainer_;
    StatisticsNoise<float> noise_;
    std::optional<FirstReplicaAverages<float>> first_averages_;
    StepClock clock_;
    double recent_loss_ = 0, recent_steps_ = 0;
};

}  // namespace

Combination empty_record(const CombinationPlan& plan) {
    Combination record;
    record.mode = plan.mode.to_string();
    record.batch_size = plan.batch_size;
    record.replicas = plan.replicas;
    record.seed = plan.seed;
    return record;
}

double median(std::vector<double> values) {
    if (values.empty()) return std::nan("");
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double mean_over_ranks(double value, const Communicator& communicator) {
    std::vector<double> all(static_cast<std::size_t>(communicator.size()));
    const std::vector<int> bytes(all.size(), sizeof value);
    communicator.all_gather(&value, all.data(), bytes, "comparing times");
    return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
}

CombinationResult run_combination(const StudyOptions& study, const CombinationPlan& plan,
                                  const DatasetPair& data, const DataSurvey& found,
                                  const Communicator& communicator, const ReferenceRun* reference,
                                  const std::function<void(double)>& progress) {
    CombinationResult result;
    Combination& record = result.record;
    record = empty_record(plan);
    record.ranks = communicator.size();
    const auto start = Clock::now();
    // Both kinds are thrown alike on all ranks, between exchanges: the next combination can go on.
    const auto fail = [&](const Error& error) {
        record.outcome = Outcome::failed;
        record.reason = error.what();
        result.parameters.clear();
    };
    try {
        CombinationRun(study, plan, data, found, communicator, reference, progress).train(result);
    } catch (const UsageError& error) {
        fail(error);
    } catch (const NumericalError& error) {
        fail(error);
    }
    record.seconds = seconds_since(start);
    return result;
}

}  // namespace lockstep::launch
