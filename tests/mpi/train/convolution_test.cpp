// Convolutional networks keep what training promises: the bits of one rank on any number of them, and the
// values of PyTorch.
#include "convolution_reference.hpp"

#include <support/reference_network.hpp>
#include <support/training.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lockstep::test {
namespace {

TrainerOptions image_options(int replicas, const std::string& mode) {
    TrainerOptions options = small_options(replicas, mode, 3);
    options.model =
        "conv 5 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 17 3x3 stride 2 pad 1, batchnorm, "
        "relu, "
        "conv 17 3x3 pad 1, batchnorm }, relu, dropout 0.1, avgpool 2, flatten, linear 5";
    options.augmentation = {.crop_padding = 2, .horizontal_flip = true};
    return options;
}

TEST(ConvolutionalNetwork, HasTheSameBitsOnAnyNumberOfRanks) {
    const Images data = noisy_columns(53, 5, 8);
    for (const int replicas : {4, 6})
        for (const char* mode : {"local", "group:2", "sync"})
            for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
                SCOPED_TRACE(std::to_string(replicas) + " replicas, " + mode);
                TrainerOptions options = image_options(replicas, mode);
                options.optimizer.kind = optimizer;
                const auto alone = train<float>(options, data, Communicator::self());
                const auto together = train<float>(options, data, Communicator(MPI_COMM_WORLD));
                EXPECT_EQ(together.losses, alone.losses);
                EXPECT_EQ(together.fingerprint, alone.fingerprint);
            }
}

TEST(ConvolutionalNetwork, DependsOnItsAugmentation) {
    const Images data = noisy_columns(53, 5, 8);
    TrainerOptions options = image_options(4, "sync");
    const auto augmented = train<float>(options, data, Communicator::self());
    options.augmentation.horizontal_flip = false;
    EXPECT_NE(train<float>(options, data, Communicator::self()).losses, augmented.losses);
    options.augmentation.crop_padding = 0;
    EXPECT_NE(train<float>(options, data, Communicator::self()).losses, augmented.losses);
}

Images reference_images() {
    Images data;
    data.title = "reference";
    data.shape = {13, 12, 3};
    data.classes = 3;
    for (Index i = 0; i < 40 * data.shape.size(); ++i)
        data.pixels.push_back(static_cast<std::uint8_t>(reference_draw(0, i) % 256));
    for (Index i = 0; i < 40; ++i)
        data.labels.push_back(static_cast<std::uint8_t>(reference_draw(100, i) % 3));
    return data;
}

double relative(double value, double expected) {
    return std::abs(value - expected) / std::max(1.0, std::abs(expected));
}

TEST(ConvolutionalNetwork, TrainsAsInPyTorch) {
    TrainerOptions options;
    options.model = convolution_model;
    options.replicas = 4;
    options.batch_size = 2;
    options.shuffle = false;
    options.optimizer.momentum = 0.9;
    options.optimizer.weight_decay = 0.01;
    options.schedule.learning_rate = 0.05;
    options.schedule.epochs = 6;
    const Images data = reference_images();
    Trainer<double> trainer(options, data, Communicator(MPI_COMM_WORLD));
    set_reference_parameters(trainer.network());
    std::vector<double> losses;
    for (int epoch = 0; epoch < 6; ++epoch)
        trainer.run_epoch([&](const StepResult& step) { losses.push_back(step.loss); });

    ASSERT_EQ(losses.size(), convolution_losses.size());
    for (std::size_t i = 0; i < losses.size(); ++i)
        EXPECT_LT(relative(losses[i], convolution_losses[i]), 1e-9) << "step " << i;
    std::size_t found = 0;
    const auto compare = [&](const ParameterInfo& info, std::span<const double> flat) {
        const auto expected = std::ranges::find(convolution_arrays, info.name,
                                                [](const ArraySums& sums) { return std::string(sums.name); });
        ASSERT_NE(expected, convolution_arrays.end()) << info.name;
        ++found;
        std::vector<double> file(static_cast<std::size_t>(info.size));
        to_file_order<double>(info, flat.subspan(static_cast<std::size_t>(info.offset), file.size()), file);
        const double sum = std::accumulate(file.begin(), file.end(), 0.0);
        EXPECT_LT(relative(sum, expected->sum), 1e-8) << info.name;
        EXPECT_LT(relative(weighted_sum(file), expected->weighted), 1e-8) << info.name;
    };
    for (const ParameterInfo& info : trainer.network().layout().parameters())
        compare(info, trainer.network().parameters());
    for (const ParameterInfo& info : trainer.network().layout().averages())
        compare(info, trainer.network().averages());
    EXPECT_EQ(found, convolution_arrays.size());
}

}  // namespace
}  // namespace lockstep::test
