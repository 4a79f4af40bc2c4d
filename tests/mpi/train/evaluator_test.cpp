// Evaluation: one exchange for a whole data set, none inside the network, the same bits on any number of
// ranks.
#include <support/mpi_calls.hpp>
#include <support/ranks_per_node.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/train/evaluator.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace lockstep::test {
namespace {

TEST(Evaluate, GivesTheSameBitsOnAnyNumberOfRanks) {
    const Images data = noisy_columns(101);
    for (const Index samples : {1, 250, 251, 1777}) {
        const Images test = noisy_columns(samples);
        Trainer<float> trainer(small_options(4, "local"), data, Communicator(MPI_COMM_WORLD));
        trainer.run_epoch();
        const auto alone =
            evaluate(trainer.network(), test, trainer.transform(), trainer.loss(), Communicator::self());
        const auto together = evaluate(trainer.network(), test, trainer.transform(), trainer.loss(),
                                       Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.loss, alone.loss);
        EXPECT_EQ(together.score, alone.score);
        EXPECT_EQ(together.confusion, alone.confusion);
        EXPECT_EQ(std::accumulate(together.confusion.begin(), together.confusion.end(), Index{0}), samples);
    }
}

TEST(Evaluate, AgreesWithOneSampleAtATime) {
    const Images data = noisy_columns(101);
    Trainer<double> trainer(small_options(4, "sync"), data, Communicator(MPI_COMM_WORLD));
    trainer.run_epoch();
    const auto result =
        evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), Communicator(MPI_COMM_WORLD));

    std::vector<double> input(static_cast<std::size_t>(data.shape.size())), logits(5);
    double loss = 0;
    Index correct = 0;
    for (Index i = 0; i < data.size(); ++i) {
        data.read_input(i, input.data());
        trainer.transform().apply(input.data(), input.data());
        trainer.network().infer(Tensor<const double>{input.data(), trainer.network().input_shape(), 1},
                                Tensor<double>{logits.data(), trainer.network().output_shape(), 1});
        const auto label = data.labels[static_cast<std::size_t>(i)];
        double sum = 0;
        for (const double logit : logits) sum += std::exp(logit);
        loss += std::log(sum) - logits[label];
        if (std::ranges::max_element(logits) - logits.begin() == label) ++correct;
    }
    EXPECT_NEAR(result.loss, loss / static_cast<double>(data.size()), 1e-12);
    EXPECT_EQ(result.score, static_cast<double>(correct) / static_cast<double>(data.size()));
}

TEST(Evaluate, CommunicatesOnceAndTheNetworkNever) {
    const testing::RanksPerNode apart(1);  // so that whatever is exchanged is a message, and counted
    const Images data = noisy_columns(600);
    Trainer<float> trainer(small_options(4, "sync"), data, Communicator(MPI_COMM_WORLD));
    const Communicator communicator(MPI_COMM_WORLD);
    std::vector<float> inputs(static_cast<std::size_t>(100 * data.shape.size()), 0.5F), logits(500);

    long before = mpi_calls();
    trainer.network().infer(Tensor<const float>{inputs.data(), trainer.network().input_shape(), 100},
                            Tensor<float>{logits.data(), trainer.network().output_shape(), 100});
    EXPECT_EQ(mpi_calls() - before, 0);

    before = mpi_calls();
    evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), communicator);
    EXPECT_EQ(mpi_calls() - before, communicator.size() - 1) << "a message to each other rank";

    before = mpi_calls();
    trainer.run_epoch();
    const bool counted = mpi_calls() > before;
    EXPECT_EQ(counted, communicator.size() > 1) << "the counter does not count";
}

TEST(Evaluate, CountsManyClasses) {
    for (const int classes : {27, 200, 256}) {
        const Images data = noisy_columns(701, classes);
        TrainerOptions options = small_options(4, "sync");
        options.model = "batchnorm, linear " + std::to_string(classes);
        Trainer<float> trainer(options, data, Communicator(MPI_COMM_WORLD));
        trainer.run_epoch();
        const auto alone =
            evaluate(trainer.network(), data, trainer.transform(), trainer.loss(), Communicator::self());
        const auto together = evaluate(trainer.network(), data, trainer.transform(), trainer.loss(),
                                       Communicator(MPI_COMM_WORLD));
        EXPECT_EQ(together.loss, alone.loss);
        EXPECT_EQ(together.confusion, alone.confusion);
        EXPECT_EQ(together.classes, classes);
        for (int row = 0; row < classes; ++row) {
            const auto begin = together.confusion.begin() + static_cast<std::ptrdiff_t>(row) * classes;
            EXPECT_EQ(std::accumulate(begin, begin + classes, Index{0}),
                      std::ranges::count(data.labels, row));
        }
    }
}

TEST(Evaluate, OfSamplesOfAnotherShapeIsAnError) {
    const Communicator world(MPI_COMM_WORLD);
    const Images data = noisy_columns(101);
    const Trainer<float> trainer(small_options(4, "sync"), data, world);
    for (const Index side : {5, 7}) {
        const Images other = noisy_columns(20, 5, side);
        EXPECT_THROW(evaluate(trainer.network(), other, trainer.transform(), trainer.loss(), world),
                     UsageError);
        EXPECT_THROW(evaluate(trainer.network(), other, InputTransform(InputKind::unit, other.shape),
                              trainer.loss(), world),
                     UsageError);
    }
}

TEST(Evaluate, OfANetworkWithOtherClassesIsAnError) {
    const Images data = noisy_columns(101), other = noisy_columns(20, 4);
    const Communicator world(MPI_COMM_WORLD);
    const Trainer<float> trainer(small_options(4, "sync"), data, world);
    EXPECT_THROW(evaluate(trainer.network(), other, trainer.transform(), trainer.loss(), world), UsageError);
}

}  // namespace
}  // namespace lockstep::test
