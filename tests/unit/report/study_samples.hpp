/// A study as tests see it: made up, with every kind of data that reports show.
#pragma once

#include <lockstep/report/study.hpp>

#include <cmath>

namespace lockstep::test {

/// Errors in percent, by mode and batch size; seed s adds s·spread.
inline double sample_error(const std::string& mode, Index batch_size, std::uint64_t seed, double spread) {
    const double own = mode == "sync" ? 4 : 4 + 32 / static_cast<double>(batch_size * batch_size);
    return own + spread * static_cast<double>(seed);
}

inline Combination sample_combination(const std::string& mode, Index batch_size, std::uint64_t seed,
                                      double spread) {
    Combination one;
    one.mode = mode;
    one.batch_size = batch_size;
    one.replicas = static_cast<int>(64 / batch_size);
    one.seed = seed;
    one.settings = {{"learning rate", "0.1"}, {"schedule", "constant"}};
    one.fingerprint = "0123456789abcdef";
    one.compute_seconds = 1e-3;
    one.communication_seconds = 1e-4;
    one.seconds = 2.5;
    for (Index epoch = 1; epoch <= 2; ++epoch) {
        StudyEpoch& last = one.epochs.emplace_back();
        last.epoch = epoch;
        last.train_loss = 1.0 / static_cast<double>(epoch);
        last.train_score = 0.9;
        last.test_loss = 0.5;
        last.pooled_score = 1 - sample_error(mode, batch_size, seed, spread) / 100;
        last.first_score = last.pooled_score - 0.01;
        last.precise_score = last.pooled_score + 0.01;
        last.batch_score = last.pooled_score - 0.02;
        if (mode != "sync") last.drift = 0.3;
        one.losses.push_back({static_cast<double>(epoch), last.train_loss});
        one.noise.push_back({static_cast<double>(epoch), {0.5, 0.4}, {0.9, 0.8}});
    }
    return one;
}

inline Study sample_study(double spread = 0.5) {
    Study study;
    study.settings = {{"dataset", "digits"}, {"model", "batchnorm, linear 10"}, {"epochs", "2"}};
    study.modes = {"local", "sync"};
    study.batch_sizes = {2, 4, 8, 16};
    study.seeds = {1, 2, 3};
    study.global_batch = 64;
    study.layers = {"layer 0 (784 channels)", "layer 3 (100 channels)"};
    study.machine = "a machine";
    for (const std::string& mode : study.modes)
        for (const Index size : study.batch_sizes)
            for (const std::uint64_t seed : study.seeds)
                study.combinations.push_back(sample_combination(mode, size, seed, spread));
    Prediction prediction;
    prediction.cluster = {{2e-6, 1e9, false}, {3e-7, 1e10, true}, 16};
    prediction.messages = {40000, {784, 100}, false};
    prediction.compute = {{2, 1e-3}, {4, 2e-3}};
    prediction.rows = predict(prediction.compute, {2, 64}, prediction.messages, prediction.cluster);
    prediction.checks = {{2, 2, {1e-3, 1.1e-3}, {1.2e-3, 1.3e-3}}};
    study.prediction = prediction;
    return study;
}

}  // namespace lockstep::test
