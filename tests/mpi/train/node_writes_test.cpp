// What callers and layers of their own do to values that a node owns, at moments that nobody thought of.
#include <support/file_size_limit.hpp>
#include <support/mpi_values.hpp>
#include <support/ranks_per_node.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/nodes.hpp>
#include <lockstep/nn/layer_registry.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace lockstep::test {
namespace {

using lockstep::testing::contains;
using lockstep::testing::error_of;
using lockstep::testing::promptly;
using lockstep::testing::RanksPerNode;
using lockstep::testing::Watch;
using lockstep::testing::world_rank;
using lockstep::testing::world_size;

constexpr int replicas = 6;

/// A factor for each input, which its forward keeps within a limit: it writes its parameters, and where they are within
/// it the same values again.
template <class Scalar>
class Limited final : public Layer<Scalar> {
  public:
    Limited(Shape shape, double limit) : Layer<Scalar>(shape, shape), limit_(static_cast<Scalar>(limit)) {}

    std::string kind() const override { return "limited"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset_ = layout.add_parameter(prefix + "weight", {features()}, ParameterKind::weight);
    }
    void bind(ParameterStore<Scalar>& store) override { weight_ = store.parameters.data() + offset_; }
    void initialize(std::uint64_t) override { std::fill_n(weight_, features(), Scalar(1)); }
    void forward(const StepContext& context, typename Layer<Scalar>::Inputs x,
                 typename Layer<Scalar>::Outputs z) override {
        for (Index i = 0; i < features(); ++i) weight_[i] = std::min(weight_[i], limit_);
        Layer<Scalar>::forward(context, x, z);
    }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (int r = 0; r < pass.gradients.hosted(); ++r) {
            const auto at = static_cast<std::size_t>(r);
            Scalar* const gradient = pass.gradients.leaf(r, offset_);
            std::fill_n(gradient, features(), Scalar(0));
            for (Index i = 0; i < pass.dz[at].size(); ++i) {
                gradient[i % features()] += pass.dz[at].data[i] * pass.x[at].data[i];
                if (pass.dx[at].data != nullptr)
                    pass.dx[at].data[i] = pass.dz[at].data[i] * weight_[i % features()];
            }
            pass.gradients.push(r, offset_, offset_ + features());
        }
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i) z.data[i] = x.data[i] * weight_[i % features()];
    }

  private:
    Index features() const { return this->input_shape().size(); }

    Scalar limit_;
    Index offset_ = 0;
    Scalar* weight_ = nullptr;
};

void register_limited() {
    static std::once_flag once;
    std::call_once(once, [] {
        register_layer("limited", LayerInput::flat, []<class Scalar>(const LayerContext<Scalar>& layer) {
            layer.expect(1, 1, "a limit");
            return std::make_unique<Limited<Scalar>>(layer.input(), layer.number(0));
        });
    });
}

TrainerOptions options_of(const std::string& mode = "local") {
    TrainerOptions options = small_options(replicas, mode);
    options.schedule.epochs = 2;
    return options;
}

using Deed = std::function<void(Trainer<float>&, Index step)>;

/// `deed` between two steps.
std::uint64_t trained(const TrainerOptions& options, const Dataset& data, const Communicator& communicator,
                      const std::function<Deed(Trainer<float>&)>& make_deed) {
    Trainer<float> trainer(options, data, communicator);
    const Deed deed = make_deed ? make_deed(trainer) : Deed();
    for (int epoch = 0; epoch < 2; ++epoch) {
        trainer.begin_epoch();
        for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
            trainer.step(step);
            if (deed) deed(trainer, step);
        }
        trainer.end_epoch();
    }
    return fingerprint(std::as_const(trainer).network());
}

void expect_same_as_alone(const TrainerOptions& options,
                          const std::function<Deed(Trainer<float>&)>& make_deed = {}) {
    const Images data = noisy_columns(120);
    const std::uint64_t expected = trained(options, data, Communicator(MPI_COMM_SELF), make_deed);
    for (const int ranks : {16, 2, 1}) {
        const RanksPerNode nodes(ranks);
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 60});
        EXPECT_EQ(trained(options, data, world, make_deed), expected) << ranks << " ranks a node";
    }
}

TEST(NodeWrites, ALayerThatWritesItsParametersDoesSoAsOnOneRank) {
    if (world_size() > replicas) return;
    register_limited();
    TrainerOptions options = options_of();
    for (const char* limit : {"0.98", "100"}) {
        options.model = std::string("linear 2000, limited ") + limit + ", linear 5";
        expect_same_as_alone(options);
    }
}

TEST(NodeWrites, AViewFromTheBeginningServesForTheWholeRun) {
    if (world_size() > replicas) return;
    TrainerOptions options = options_of();
    options.model = "linear 300, relu, linear 5";
    expect_same_as_alone(options, [](Trainer<float>& trainer) -> Deed {
        const std::span<float> view = trainer.network().parameters();
        return [view](Trainer<float>&, Index) {
            for (float& value : view) value = std::min(value, 0.05F);
        };
    });
    expect_same_as_alone(options, [](Trainer<float>& trainer) -> Deed {
        const std::span<float> view = trainer.optimizer().state()[0].values;
        return [view](Trainer<float>&, Index step) {
            if (step % 2 == 0)
                for (float& value : view) value = std::min(value, 0.01F);
        };
    });
}

TEST(NodeWrites, WhoOnlyReadsThroughAViewHidesNoOtherOne) {
    if (world_size() > replicas) return;
    expect_same_as_alone(options_of(), [](Trainer<float>& trainer) -> Deed {
        const std::span<float> view = trainer.network().parameters();
        return [view](Trainer<float>& same, Index step) {
            view[1] = std::min(view[1], 0.01F);
            if (step + 1 == same.steps_per_epoch()) (void)same.network().parameters();
        };
    });
}

TEST(NodeWrites, AnEpochBegunAnewKeepsWhatItHasTrained) {
    if (world_size() > replicas) return;
    const Images data = noisy_columns(120);
    const auto run = [&](const Communicator& communicator) {
        Trainer<float> trainer(options_of(), data, communicator);
        const std::span<float> view = trainer.network().parameters();
        for (int again = 0; again < 3; ++again) {
            trainer.begin_epoch();
            for (Index step = 0; step < 3; ++step) {
                trainer.step(step);
                view[0] = std::min(view[0], 0.01F);
            }
        }
        return fingerprint(std::as_const(trainer).network());
    };
    EXPECT_EQ(run(Communicator(MPI_COMM_WORLD, {.timeout_seconds = 60})), run(Communicator(MPI_COMM_SELF)));
}

TEST(NodeWrites, WhatOneRankWritesThroughAnOldViewIsNamedInTime) {
    if (world_size() == 1 || world_size() > replicas) return;
    const Images data = noisy_columns(120);
    for (int writer = 0; writer < world_size(); ++writer)
        for (const int ranks : {16, 2, 1}) {
            const RanksPerNode nodes(ranks);
            const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
            Trainer<float> trainer(options_of(), data, world);
            const std::span<float> view = trainer.network().parameters();
            const Watch watch;
            const std::string text = error_of<CommunicationError>([&] {
                for (int epoch = 0; epoch < 2; ++epoch) {
                    trainer.begin_epoch();
                    for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
                        trainer.step(step);
                        if (step == 1 && world_rank() == writer) view[3] += 1;
                    }
                    trainer.end_epoch();
                }
            });
            EXPECT_TRUE(contains(text, "parameters")) << text;
            EXPECT_LT(watch.seconds(), promptly()) << "writer " << writer << ", " << ranks << " a node";
        }
}

TEST(NodeWrites, ARateThatIsNoNumberOnOneRankEndsAllInTime) {
    if (world_size() == 1 || world_size() > replicas) return;
    const Images data = noisy_columns(120);
    for (int odd = 0; odd < world_size(); ++odd)
        for (const int ranks : {16, 2, 1}) {
            const RanksPerNode nodes(ranks);
            const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
            Trainer<float> trainer(options_of("sync"), data, world);
            const Watch watch;
            const std::string text = error_of<Error>([&] {
                trainer.begin_epoch();
                for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
                    trainer.load_batch(step);
                    trainer.forward();
                    trainer.compute_loss();
                    trainer.backward();
                    trainer.update(step == 1 && world_rank() == odd ? std::nan("") : 0.1);
                }
            });
            EXPECT_TRUE(contains(text, "learning rate")) << text;
            EXPECT_LT(watch.seconds(), promptly()) << "rank " << odd << ", " << ranks << " a node";
        }
}

// Memory of a node counts as a file: one rank that may give none makes all do without.
TEST(NodeWrites, ALimitOnOneRankChangesNoBit) {
    if (world_size() > replicas) return;
    const Images data = noisy_columns(120);
    TrainerOptions options = options_of("sync");
    options.model = "linear 3000, relu, linear 5";
    const std::uint64_t expected = train<float>(options, data, Communicator(MPI_COMM_SELF)).fingerprint;
    for (int limited = 0; limited < world_size(); ++limited) {
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
        std::optional<FileSizeLimit> limit;
        if (world_rank() == limited) limit.emplace(4096);
        EXPECT_EQ(train<float>(options, data, world).fingerprint, expected) << "rank " << limited;
    }
}

/// Begins with the number of the rank.
template <class Scalar>
class RankDependent final : public Layer<Scalar> {
  public:
    explicit RankDependent(Shape shape) : Layer<Scalar>(shape, shape) {}

    std::string kind() const override { return "rankdependent"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset_ = layout.add_parameter(prefix + "weight", {1}, ParameterKind::weight);
    }
    void bind(ParameterStore<Scalar>& store) override { weight_ = store.parameters.data() + offset_; }
    void initialize(std::uint64_t) override { *weight_ = static_cast<Scalar>(world_rank()); }
    void backward(const typename Layer<Scalar>::BackwardPass&) override {}
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i) z.data[i] = x.data[i] + *weight_;
    }

  private:
    Index offset_ = 0;
    Scalar* weight_ = nullptr;
};

TEST(NodeWrites, RanksThatBeginDifferentlyAreNamed) {
    if (world_size() == 1 || world_size() > replicas) return;
    static std::once_flag once;
    std::call_once(once, [] {
        register_layer("rankdependent", LayerInput::flat,
                       []<class Scalar>(const LayerContext<Scalar>& layer) {
                           return std::make_unique<RankDependent<Scalar>>(layer.input());
                       });
    });
    const Images data = noisy_columns(120);
    TrainerOptions options = options_of();
    options.model = "rankdependent, linear 5";
    for (const int ranks : {16, 1}) {
        const RanksPerNode nodes(ranks);
        const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 30});
        const std::string text = error_of<CommunicationError>([&] {
            Trainer<float> trainer(options, data, world);
            trainer.begin_epoch();
        });
        EXPECT_TRUE(contains(text, "parameters")) << ranks << " ranks a node: " << text;
    }
}

}  // namespace
}  // namespace lockstep::test
