// Tasks other than classification: values and labels, with each loss, on any number of ranks.
#include <support/mpi_values.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/evaluator.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace lockstep::test {
namespace {

using testing::contains;
using testing::error_of;

/// Two values (or, thresholded, two labels) that hang on six inputs.
struct Waves final : Dataset {
    Index samples;
    bool labels;

    explicit Waves(Index count, bool as_labels = false) : samples(count), labels(as_labels) {}
    std::string name() const override { return "waves"; }
    Index size() const override { return samples; }
    Shape input_shape() const override { return Shape::dense(6); }
    Target target() const override { return {.values = 2}; }
    void read_input(Index sample, double* values) const override {
        RandomStream random(4, RandomPurpose::test, static_cast<std::uint64_t>(sample));
        for (Index i = 0; i < 6; ++i) values[i] = random.normal();
    }
    void read_target(Index sample, double* values) const override {
        double x[6];
        read_input(sample, x);
        values[0] = 3 * x[0] - 2 * x[1] + 10;
        values[1] = x[2] * x[2] - 1;
        if (labels)
            for (Index i = 0; i < 2; ++i) values[i] = values[i] > (i == 0 ? 10 : 0) ? 1 : 0;
    }
};

TrainerOptions wave_options(const Loss& loss, int replicas, const std::string& mode) {
    TrainerOptions options = small_options(replicas, mode);
    options.model = "batchnorm, linear 24, relu, batchnorm, linear 2";
    options.loss = loss;
    options.schedule.learning_rate = 0.02;
    return options;
}

std::vector<Loss> losses() {
    return {mean_squared_error(), mean_absolute_error(), huber(0.5),
            own_loss("rounded corner", [](auto outputs, auto target, auto gradient) {
                double sum = 0;
                for (std::size_t i = 0; i < outputs.size(); ++i) {
                    const double error = outputs[i] - target[i], length = std::sqrt(1 + error * error);
                    sum += length - 1;
                    if (!gradient.empty()) gradient[i] = error / length;
                }
                return sum;
            })};
}

TEST(Regression, HasTheSameBitsOnAnyNumberOfRanks) {
    const Waves data(203);
    for (const Loss& loss : losses())
        for (const char* mode : {"local", "group:2", "sync"})
            for (const bool clips : {false, true}) {
                TrainerOptions options = wave_options(loss, 4, mode);
                if (clips) options.clip_norm = 0.1;
                const auto alone = train<float>(options, data, Communicator::self());
                const auto together = train<float>(options, data, Communicator(MPI_COMM_WORLD));
                EXPECT_EQ(together.fingerprint, alone.fingerprint) << loss->text() << ", " << mode;
                EXPECT_EQ(together.losses, alone.losses) << loss->text() << ", " << mode;
            }
}

TEST(Regression, LearnsAndIsScored) {
    const Communicator world(MPI_COMM_WORLD);
    const Waves data(2000);
    TrainerOptions options = wave_options(nullptr, 4, "sync");
    options.batch_size = 16;
    options.input = InputKind::standardized;
    options.schedule.learning_rate = 0.05;
    Trainer<float> trainer(options, data, world);
    EXPECT_EQ(trainer.loss()->text(), "mse");
    EXPECT_EQ(trainer.task(), Task::regression);
    EpochResult last;
    for (int epoch = 0; epoch < 20; ++epoch) last = trainer.run_epoch();
    EXPECT_NEAR(last.score, std::sqrt(last.loss), 1e-9);
    const Evaluation result = evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), world);
    EXPECT_GT(result.all.r2, 0.9);
    EXPECT_EQ(result.samples, 2000);
    EXPECT_EQ(result.score, result.all.rmse);
    const Evaluation alone =
        evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), Communicator::self());
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(result.values[i].rmse, alone.values[i].rmse);
        EXPECT_EQ(result.values[i].r2, alone.values[i].r2);
    }
}

TEST(Regression, ScoresAreTheTextbooks) {
    const Waves data(777);
    Trainer<double> trainer(wave_options(mean_absolute_error(), 2, "sync"), data, Communicator::self());
    trainer.run_epoch();
    const Evaluation result =
        evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), Communicator(MPI_COMM_WORLD));
    double squares[2] = {}, distances[2] = {}, means[2] = {}, around[2] = {};
    std::vector<double> outputs, targets;
    for (Index i = 0; i < 777; ++i) {
        double input[6], output[2], target[2];
        data.read_input(i, input);
        data.read_target(i, target);
        trainer.network().infer(Tensor<const double>{input, Shape::dense(6), 1},
                                Tensor<double>{output, Shape::dense(2), 1});
        for (int j = 0; j < 2; ++j) {
            squares[j] += std::pow(output[j] - target[j], 2) / 777;
            distances[j] += std::abs(output[j] - target[j]) / 777;
            means[j] += target[j] / 777;
            targets.push_back(target[j]);
        }
    }
    for (std::size_t i = 0; i < targets.size(); ++i)
        around[i % 2] += std::pow(targets[i] - means[i % 2], 2) / 777;
    for (std::size_t j = 0; j < 2; ++j) {
        EXPECT_NEAR(result.values[j].rmse, std::sqrt(squares[j]), 1e-12);
        EXPECT_NEAR(result.values[j].mae, distances[j], 1e-12);
        EXPECT_NEAR(result.values[j].r2, 1 - squares[j] / around[j], 1e-12);
    }
    EXPECT_NEAR(result.all.rmse, std::sqrt((squares[0] + squares[1]) / 2), 1e-12);
    EXPECT_NEAR(result.loss, (distances[0] + distances[1]) / 2, 1e-12);
}

TEST(Regression, AConstantTargetHasNoR2) {
    struct Level final : Dataset {
        std::string name() const override { return "level"; }
        Index size() const override { return 1001; }
        Shape input_shape() const override { return Shape::dense(1); }
        Target target() const override { return {.values = 1}; }
        void read_input(Index sample, double* value) const override {
            *value = static_cast<double>(sample % 3);
        }
        void read_target(Index, double* value) const override { *value = 0.1; }
    };
    const Communicator world(MPI_COMM_WORLD);
    const Level data;
    Trainer<float> trainer({.model = "linear 1", .replicas = 4}, data, world);
    EXPECT_TRUE(
        std::isnan(evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), world).all.r2));
}

TEST(Regression, OutputsBeyondTheTargetsAreTheLossesOwn) {
    // The third output is the logarithm of a width (Laplace's distribution), which no target stands for.
    const Loss laplace = own_loss("laplace", [](auto outputs, auto target, auto gradient) {
        const double width = std::exp(outputs[2]);
        double sum = 0;
        for (std::size_t j = 0; j < 2; ++j) {
            sum += std::abs(outputs[j] - target[j]);
            if (!gradient.empty()) gradient[j] = (outputs[j] < target[j] ? -1 : 1) / width;
        }
        if (!gradient.empty()) gradient[2] = 2 - sum / width;
        return 2 * outputs[2] + sum / width;
    });
    const Communicator world(MPI_COMM_WORLD);
    TrainerOptions options = wave_options(laplace, 4, "local");
    options.model = "linear 16, tanh, linear 3";
    const Waves data(300);
    Trainer<double> trainer(options, data, world);
    double squares = 0;
    for (Index i = 0; i < 300; ++i) {
        double input[6], output[3];
        double target[2];
        data.read_input(i, input);
        data.read_target(i, target);
        trainer.network().infer(Tensor<const double>{input, Shape::dense(6), 1},
                                Tensor<double>{output, Shape::dense(3), 1});
        for (int j = 0; j < 2; ++j) squares += std::pow(output[j] - target[j], 2) / 600;
    }
    const Evaluation result = evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), world);
    EXPECT_NEAR(result.score, std::sqrt(squares), 1e-12);
    options.model = "linear 1";
    EXPECT_TRUE(contains(error_of<UsageError>([&] { Trainer<double>(options, data, world); }), "linear 2"));
}

TEST(Labels, AreLearntAndScoredByF1) {
    const Communicator world(MPI_COMM_WORLD);
    const Waves data(2000, true);
    TrainerOptions options = wave_options(binary_cross_entropy(), 4, "local");
    options.batch_size = 16;
    options.schedule.learning_rate = 0.1;
    Trainer<float> trainer(options, data, world);
    EXPECT_EQ(trainer.task(), Task::labels);
    EpochResult last;
    for (int epoch = 0; epoch < 10; ++epoch) last = trainer.run_epoch();
    EXPECT_GT(last.score, 0.8);
    const Evaluation result = evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), world);
    ASSERT_EQ(result.labels.size(), 2u);
    Index found = 0, wrong = 0, missed = 0;
    for (const LabelCounts& label : result.labels) {
        EXPECT_GT(label.f1(), 0.75);
        found += label.true_positives;
        wrong += label.false_positives;
        missed += label.false_negatives;
    }
    EXPECT_EQ(result.score, static_cast<double>(2 * found) / static_cast<double>(2 * found + wrong + missed));
}

TEST(Regression, ALossThatDoesNotFitIsAnErrorOnEveryRank) {
    const Communicator world(MPI_COMM_WORLD);
    EXPECT_TRUE(contains(error_of<UsageError>([&] {
                             Trainer<float>(wave_options(cross_entropy(), 4, "sync"), Waves(90), world);
                         }),
                         "loss cross-entropy is for classes"));
    TrainerOptions options = small_options(4, "sync");
    options.loss = mean_squared_error();
    EXPECT_TRUE(contains(error_of<UsageError>([&] { Trainer<float>(options, noisy_columns(90), world); }),
                         "loss mse is for values"));
}

}  // namespace
}  // namespace lockstep::test
