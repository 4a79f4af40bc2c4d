/// Small trainings as tests see them: a data set that every rank can make, and what a run leaves behind.
#pragma once

#include <lockstep/base/random.hpp>
#include <lockstep/data/images.hpp>
#include <lockstep/train/trainer.hpp>
#include <lockstep/train/weights.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lockstep::test {

/// Images of blurred noise whose class moves a bright column: learnable in a few steps, never solved.
inline Images noisy_columns(Index samples, int classes = 5, Index side = 6) {
    Images data;
    data.title = "noisy columns";
    data.shape = {side, side, 1};
    data.classes = classes;
    RandomStream random(3, RandomPurpose::test, 0);
    for (Index i = 0; i < samples; ++i) {
        const auto label = static_cast<int>(random.uniform() * classes);
        data.labels.push_back(static_cast<std::uint8_t>(label));
        for (Index at = 0; at < data.shape.size(); ++at) {
            const double bright = at % side == label ? 70 : 0;
            data.pixels.push_back(
                static_cast<std::uint8_t>(std::clamp(100 + bright + 50 * random.normal(), 0.0, 255.0)));
        }
    }
    return data;
}

inline TrainerOptions small_options(int replicas, const std::string& mode, Index batch_size = 4) {
    TrainerOptions options;
    options.model = "batchnorm, linear 24, relu, batchnorm, dropout 0.2, linear 5";
    options.batch_norm = BatchNormMode::parse(mode);
    options.replicas = replicas;
    options.batch_size = batch_size;
    options.optimizer.weight_decay = 0.01;
    options.schedule.epochs = 2;
    options.seed = 5;
    return options;
}

/// What must not depend on the number of ranks.
template <class Scalar>
struct RunRecord {
    std::vector<double> losses;
    std::vector<Scalar> parameters, averages;
    std::uint64_t fingerprint = 0;
};

template <class Scalar>
RunRecord<Scalar> record_of(const Trainer<Scalar>& trainer, std::vector<double> losses) {
    const auto parameters = trainer.network().parameters();
    const auto averages = trainer.network().averages();
    return {std::move(losses),
            {parameters.begin(), parameters.end()},
            {averages.begin(), averages.end()},
            fingerprint(trainer.network())};
}

/// Trains the epochs that the schedule has, and looks after every step.
template <class Scalar>
RunRecord<Scalar> train(const TrainerOptions& options, const Dataset& data, const Communicator& communicator,
                        const std::function<void(const Trainer<Scalar>&)>& after_step = {}) {
    Trainer<Scalar> trainer(options, data, communicator);
    std::vector<double> losses;
    while (trainer.epoch() < options.schedule.epochs)
        trainer.run_epoch([&](const StepResult& step) {
            losses.push_back(step.loss);
            if (after_step) after_step(trainer);
        });
    return record_of(trainer, std::move(losses));
}

/// |a − b| / |b|, by Euclidean length.
template <class Scalar>
double relative_difference(const std::vector<Scalar>& a, const std::vector<Scalar>& b) {
    if (a.size() != b.size()) return HUGE_VAL;
    double difference = 0, length = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        difference += (x - y) * (x - y);
        length += y * y;
    }
    return std::sqrt(difference / length);
}

}  // namespace lockstep::test
