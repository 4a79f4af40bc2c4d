// Whatever a user's own data set, layer, loss or rule throws, on one rank alone: every rank has an error at once that
// says what it was, and all but that rank which one.
#include <support/mpi_values.hpp>
#include <support/scratch_folder.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/nn/layer_registry.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/evaluator.hpp>
#include <lockstep/train/trainer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;
using lockstep::testing::Watch;
using lockstep::testing::world_rank;
using lockstep::testing::world_size;

/// Where the last rank fails.
struct Fault {
    std::string phase;  // of use_everything
    std::string place;
    int passes = 0;  // of that place in that phase, before
};
Fault fault;
bool ours = false;  // what is thrown
std::string phase;

void may_fail(const std::string& place) {
    if (phase != fault.phase || place != fault.place || world_rank() != world_size() - 1 ||
        fault.passes-- > 0)
        return;
    if (ours) throw UsageError("out of luck at " + place);
    throw std::runtime_error("out of luck at " + place);
}

/// Enough samples that each of four ranks has a share of the survey and of an evaluation.
class Brittle final : public Dataset {
  public:
    std::string name() const override { return "brittle"; }
    Index size() const override { return samples; }
    Shape input_shape() const override { return Shape::dense(features); }
    Target target() const override { return wanted; }
    void read_input(Index sample, double* values) const override {
        may_fail("read_input");
        for (Index i = 0; i < features; ++i) values[i] = static_cast<double>((sample * i) % 7);
    }
    void read_target(Index sample, double* values) const override {
        may_fail("read_target");
        std::fill_n(values, wanted.size(), static_cast<double>(sample % 5));
    }
    static constexpr Index features = 1023;
    Index samples = 1000;
    Target wanted{.values = 1};
    void prefetch(Index, Index) const override { may_fail("prefetch"); }
    void check_unchanged() const override { may_fail("check_unchanged"); }
};

template <class Scalar>
struct BrittleLayer final : Layer<Scalar> {
    explicit BrittleLayer(Shape shape) : Layer<Scalar>(shape, shape) { may_fail("construction"); }
    std::string kind() const override { return "brittle"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        may_fail("declare");
        Layer<Scalar>::declare(layout, prefix);
    }
    void initialize(std::uint64_t) override { may_fail("initialize"); }
    void reserve(int, Index) override { may_fail("reserve"); }
    void forward(const StepContext& context, typename Layer<Scalar>::Inputs x,
                 typename Layer<Scalar>::Outputs z) override {
        may_fail("forward");
        Layer<Scalar>::forward(context, x, z);
    }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        may_fail("backward");
        for (std::size_t r = 0; r < pass.dz.size(); ++r)
            if (pass.dx[r].data != nullptr) std::copy_n(pass.dz[r].data, pass.dz[r].size(), pass.dx[r].data);
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        may_fail("infer");
        std::copy_n(x.data, x.size(), z.data);
    }
};

class BrittleRule final : public UpdateRule {
  public:
    std::string text() const override { return "brittle"; }
    std::vector<std::string> state_names() const override {
        may_fail("state_names");
        return {};
    }
    void step(const UpdatePass<float>&) const override { may_fail("rule"); }
    void step(const UpdatePass<double>&) const override { may_fail("rule"); }
};

double brittle_loss(std::span<const double> outputs, std::span<const double> target,
                    std::span<double> gradient) {
    may_fail("loss");
    if (!gradient.empty()) gradient[0] = outputs[0] - target[0];
    return 0;
}

const bool registered = (register_layer<BrittleLayer>("brittle"), true);

template <class Scalar>
void use_everything(const Communicator& communicator) {
    const Brittle data;
    TrainerOptions options{.model = "batchnorm, linear 4, brittle, relu, linear 1", .replicas = 4};
    options.batch_size = 25;
    options.precise_batches = 2;
    options.loss = own_loss("brittle", brittle_loss);
    options.optimizer.rule = std::make_shared<BrittleRule>();
    phase = "constructor";
    Trainer<Scalar> trainer(options, data, communicator);
    phase = "epoch";
    trainer.run_epoch([](const StepResult&) { may_fail("callback"); });
    phase = "precise batches";
    trainer.recompute_running_averages();
    phase = "training mode";
    trainer.evaluate_in_training_mode(data);
    phase = "evaluation";
    evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), communicator);
}

template <class Scalar>
void expect_news_on_all_ranks(const Fault& chosen) {
    SCOPED_TRACE(chosen.place + " in " + chosen.phase + " after " + std::to_string(chosen.passes));
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = 15});
    fault = chosen;
    std::string text;
    const Watch watch;
    try {
        use_everything<Scalar>(communicator);
    } catch (const std::exception& error) {
        text = error.what();
    }
    fault = {};
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_LT(watch.seconds(), 10);
    EXPECT_TRUE(contains(text, "out of luck at " + chosen.place)) << text;
    const bool innocent = world_rank() != world_size() - 1;
    EXPECT_TRUE(!innocent || contains(text, "rank " + std::to_string(world_size() - 1))) << text;
}

const std::vector<Fault> faults = {
    {"constructor", "read_input"},  // of the spot checks
    {"constructor", "read_target"},
    {"constructor", "prefetch"},
    {"constructor", "read_input", 600},  // of the survey
    {"constructor", "read_target", 600},
    {"constructor", "check_unchanged"},
    {"constructor", "construction"},
    {"constructor", "construction", 1},
    {"constructor", "declare"},
    {"constructor", "declare", 1},
    {"constructor", "initialize"},
    {"constructor", "reserve"},
    {"constructor", "state_names"},
    {"epoch", "read_input", 7},
    {"epoch", "read_target"},
    {"epoch", "check_unchanged", 3},
    {"epoch", "forward"},
    {"epoch", "forward", 2},
    {"epoch", "loss"},
    {"epoch", "backward", 1},
    {"epoch", "rule", 1},
    {"epoch", "callback", 1},
    {"precise batches", "read_input"},
    {"precise batches", "forward", 1},
    {"precise batches", "loss"},
    {"training mode", "read_target"},
    {"training mode", "forward", 1},
    {"training mode", "loss", 30},
    {"evaluation", "read_input"},
    {"evaluation", "read_target", 3},
    {"evaluation", "prefetch"},
    {"evaluation", "check_unchanged"},
    {"evaluation", "infer"},
    {"evaluation", "loss"},
};

TEST(Failures, WhatOneRankThrowsReachesAll) {
    for (const Fault& one : faults)
        for (const bool of_the_library : {false, true}) {
            ours = of_the_library;
            expect_news_on_all_ranks<float>(one);
        }
}

TEST(Failures, SoItDoesInDouble) {
    for (const Fault& one : faults)
        if (one.phase == "epoch") expect_news_on_all_ranks<double>(one);
}

TEST(Failures, ACheckpointThatOneRankCannotReadIsLoadedByNone) {
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 15});
    const Brittle data;
    Trainer<float> trainer({.model = "linear 1", .replicas = 4}, data, world);
    const ScratchFolder folder;  // of this rank
    save_checkpoint(trainer, folder / "checkpoint");
    const Watch watch;
    const bool culprit = world.rank() == world.size() - 1;
    const std::string text = lockstep::testing::error_of<Error>(
        [&] { load_checkpoint(trainer, folder / (culprit ? "missing" : "checkpoint")); });
    EXPECT_TRUE(contains(text, "missing: there is no such file")) << text;
    EXPECT_LT(watch.seconds(), 10);
    EXPECT_NO_THROW(load_checkpoint(trainer, folder / "checkpoint")) << "the communicator remains usable";
}

TEST(Failures, AnEvaluationOfOtherDataOnOneRankIsFoundOut) {
    const Brittle data;
    for (const auto& [samples, target] :
         {std::pair{Index{600}, Target{.values = 1}}, {1000, {.values = 2}}, {0, {.values = 1}}}) {
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 15});
        if (world.size() == 1) return;
        Trainer<float> trainer({.model = "linear 1", .replicas = 4}, data, world);
        Brittle other;
        if (world.rank() == 0) {
            other.samples = samples;
            other.wanted = target;
        }
        const Watch watch;
        EXPECT_THROW(evaluate(trainer.network(), other, trainer.transform(), trainer.loss(), world),
                     CommunicationError);
        EXPECT_LT(watch.seconds(), 10);
    }
}

TEST(Failures, WithoutAFaultNothingIsThrown) {
    const Communicator communicator(MPI_COMM_WORLD, {.timeout_seconds = 15});
    EXPECT_NO_THROW(use_everything<float>(communicator));
}

}  // namespace
}  // namespace lockstep::test
