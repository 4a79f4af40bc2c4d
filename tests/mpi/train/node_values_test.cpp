// Parameters and the optimizer's state that the ranks of a node own together: what callers write, at whatever moment, and
// ranks that are slow or mean something else.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/nn/layer_registry.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;
using lockstep::testing::error_of;
using lockstep::testing::world_rank;
using lockstep::testing::world_size;

constexpr int replicas = 6;

bool last_rank() {
    return world_rank() == world_size() - 1;
}

void sleep(double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// A linear layer of one output for each input that says that its gradients are complete, dawdles on the first rank, and
/// only then reads its parameters, which another rank steps: they are what they were.
template <class Scalar>
class Dawdler final : public Layer<Scalar> {
  public:
    explicit Dawdler(Shape shape) : Layer<Scalar>(shape, shape) {}

    std::string kind() const override { return "dawdler"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset_ = layout.add_parameter(prefix + "weight", {features()}, ParameterKind::weight);
    }
    void bind(ParameterStore<Scalar>& store) override { weight_ = store.parameters.data() + offset_; }
    void initialize(std::uint64_t) override { std::fill_n(weight_, features(), Scalar(1)); }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (int r = 0; r < pass.gradients.hosted(); ++r) {
            const auto& dz = pass.dz[static_cast<std::size_t>(r)];
            const auto& x = pass.x[static_cast<std::size_t>(r)];
            Scalar* const gradient = pass.gradients.leaf(r, offset_);
            std::fill_n(gradient, features(), Scalar(0));
            for (Index i = 0; i < dz.size(); ++i) gradient[i % features()] += dz.data[i] * x.data[i];
            pass.gradients.push(r, offset_, offset_ + features());
        }
        this->report_ready(pass);
        const std::vector<Scalar> before(weight_, weight_ + features());
        if (world_rank() == 0 && world_size() > 1) sleep(0.01);
        EXPECT_TRUE(std::equal(before.begin(), before.end(), weight_)) << "written within backward";
        for (std::size_t r = 0; r < pass.dz.size(); ++r)
            for (Index i = 0; i < pass.dx[r].size(); ++i)
                pass.dx[r].data[i] = pass.dz[r].data[i] * weight_[i % features()];
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i) z.data[i] = x.data[i] * weight_[i % features()];
    }

  private:
    Index features() const { return this->input_shape().size(); }

    Index offset_ = 0;
    Scalar* weight_ = nullptr;
};

TrainerOptions options_of(const std::string& mode = "local") {
    TrainerOptions options = small_options(replicas, mode);
    options.schedule.epochs = 1;
    return options;
}

/// Everything done to the trainer between two steps of an epoch.
using Deed = std::function<void(Trainer<float>&, Index step)>;

std::uint64_t trained(const TrainerOptions& options, const Dataset& data, const Communicator& communicator,
                      const Deed& deed = {}) {
    Trainer<float> trainer(options, data, communicator);
    trainer.begin_epoch();
    for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
        trainer.step(step);
        if (deed) deed(trainer, step);
    }
    trainer.end_epoch();
    return fingerprint(std::as_const(trainer).network());
}

/// On all ranks, and on each of them alone.
void expect_same_as_alone(const TrainerOptions& options, const Deed& deed = {}) {
    const Images data = noisy_columns(120);
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 60}), alone(MPI_COMM_SELF);
    EXPECT_EQ(trained(options, data, world, deed), trained(options, data, alone, deed));
}

TEST(NodeValues, WhatAllRanksWriteAlikeBetweenStepsIsDoneOnce) {
    if (world_size() > replicas) return;
    expect_same_as_alone(options_of(), [](Trainer<float>& trainer, Index step) {
        if (step % 3 == 1)
            for (float& value : trainer.network().parameters()) value *= 0.75F;
        const std::span<float> momentum = trainer.optimizer().state()[0].values;
        if (step % 4 == 2)
            for (float& value : momentum) value *= 0.5F;
    });
}

TEST(NodeValues, WhatIsWrittenAfterTheLastStepIsThereAfterwards) {
    if (world_size() > replicas) return;
    expect_same_as_alone(options_of(), [](Trainer<float>& trainer, Index step) {
        if (step == trainer.steps_per_epoch() - 1) trainer.network().parameters()[2] = 0.125F;
    });
}

TEST(NodeValues, ClippingAndARangeOfNoWeightDecayKeepTheBits) {
    if (world_size() > replicas) return;
    TrainerOptions options = options_of("sync");
    options.clip_norm = 0.05;
    options.optimizer.kind = OptimizerKind::adamw;
    options.optimizer.decay = WeightDecayScope::weights;
    expect_same_as_alone(options);
}

TEST(NodeValues, NobodyWritesWhatASlowRankStillReads) {
    if (world_size() > replicas) return;
    static std::once_flag once;
    std::call_once(once, [] {
        register_layer("dawdler", LayerInput::flat, []<class Scalar>(const LayerContext<Scalar>& layer) {
            return std::make_unique<Dawdler<Scalar>>(layer.input());
        });
    });
    TrainerOptions options = options_of();
    // Nothing before it has gradients that the sums would wait for, but relu wants to know its dz.
    options.model = "relu, dawdler, linear 5";
    expect_same_as_alone(options);
}

/// What a run ends with whose last rank does something of its own after the second step.
template <class Failure>
std::string error_after(const Deed& deed, double learning_rate_of_last = 0.1) {
    const Images data = noisy_columns(120);
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
    Trainer<float> trainer(options_of(), data, world);
    trainer.begin_epoch();
    return error_of<Failure>([&] {
        for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
            trainer.load_batch(step);
            trainer.forward();
            trainer.compute_loss();
            trainer.backward();
            trainer.update(step == 2 && last_rank() ? learning_rate_of_last : 0.1);
            if (step == 1 && deed) deed(trainer, step);
        }
        trainer.end_epoch();
        trainer.begin_epoch();
    });
}

bool shares_memory() {
    const Communicator world(MPI_COMM_WORLD);
    return nodes_of(world)->count() == 1 && world.size() > 1;
}

TEST(NodeValues, WhatOneRankWritesAloneIsNamed) {
    if (world_size() == 1) return;
    const std::string parameters = error_after<CommunicationError>([](Trainer<float>& trainer, Index) {
        if (last_rank()) trainer.network().parameters()[3] += 1;
    });
    EXPECT_TRUE(contains(parameters, "parameters")) << parameters;
    const std::string state = error_after<CommunicationError>([](Trainer<float>& trainer, Index) {
        if (last_rank()) trainer.optimizer().state()[0].values[3] += 1;
    });
    EXPECT_TRUE(contains(state, "state")) << state;
    const std::string steps = error_after<CommunicationError>([](Trainer<float>& trainer, Index) {
        if (last_rank()) trainer.optimizer().set_step_count(9);
    });
    EXPECT_TRUE(contains(steps, "steps")) << steps;
    EXPECT_TRUE(contains(steps, " 9 on rank " + std::to_string(world_size() - 1)) ||
                contains(steps, "9 on rank"))
        << steps;
}

TEST(NodeValues, RatesThatDifferAreNamed) {
    if (!shares_memory()) return;
    const std::string other = error_after<CommunicationError>({}, 0.25);
    EXPECT_TRUE(contains(
        other, "a step's learning rate: 0.1 on rank 0; 0.25 on rank " + std::to_string(world_size() - 1)))
        << other;
    const std::string none = error_after<CommunicationError>({}, std::numeric_limits<double>::quiet_NaN());
    EXPECT_TRUE(contains(none, "learning rate: 0.1 on rank 0; nan on rank")) << none;
}

/// Plain descent that does something else on the last rank at its second step.
class Unwilling final : public UpdateRule {
  public:
    explicit Unwilling(std::function<void()> instead) : instead_(std::move(instead)) {}

    std::string text() const override { return "unwilling"; }
    void step(const UpdatePass<float>& pass) const override { descend(pass); }
    void step(const UpdatePass<double>& pass) const override { descend(pass); }

  private:
    template <class Scalar>
    void descend(const UpdatePass<Scalar>& pass) const {
        if (pass.step == 2 && last_rank()) instead_();
        for (std::size_t i = 0; i < pass.parameters.size(); ++i)
            pass.parameters[i] -= static_cast<Scalar>(pass.learning_rate) * pass.gradients[i];
    }

    std::function<void()> instead_;
};

/// The same on all ranks but the last.
std::string error_with_rule(std::function<void()> instead, double seconds) {
    const Images data = noisy_columns(120);
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = seconds});
    TrainerOptions options = options_of();
    options.optimizer.rule = std::make_shared<Unwilling>(std::move(instead));
    Trainer<float> trainer(options, data, world);
    return error_of<Error>([&] { trainer.run_epoch(); });
}

TEST(NodeValues, ARuleThatThrowsOnOneRankEndsAllOfThem) {
    if (world_size() == 1 || world_size() > replicas) return;
    const std::string text = error_with_rule([] { throw UsageError("out of luck"); }, 60);
    EXPECT_TRUE(contains(text, "out of luck")) << text;
}

TEST(NodeValues, ARankThatNeverComesIsNamed) {
    if (!shares_memory()) return;
    const std::string text = error_with_rule([] { sleep(2.5); }, 1);
    if (last_rank()) return;  // it comes late, to a communicator that has failed
    EXPECT_TRUE(contains(text, "time-out after 1 s at updating the parameters")) << text;
    EXPECT_TRUE(contains(text, "rank " + std::to_string(world_size() - 1))) << text;
}

}  // namespace
}  // namespace lockstep::test
