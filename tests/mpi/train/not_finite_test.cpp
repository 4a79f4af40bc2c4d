// A number that is not finite is named where it enters, in the same words on every rank, and with a cure that can help.
#include <support/mpi_values.hpp>
#include <support/own_layers.hpp>
#include <support/training.hpp>

#include <lockstep/base/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <mutex>
#include <string>

namespace lockstep::test {
namespace {

/// Passes its input on, and spoils what goes back: the gradient of the layer before it.
template <class Scalar>
class SpoilGradient final : public Layer<Scalar> {
  public:
    explicit SpoilGradient(Shape shape) : Layer<Scalar>(shape, shape) {}
    std::string kind() const override { return "spoil-gradient"; }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (const auto& dx : pass.dx)
            if (dx.data != nullptr) std::fill_n(dx.data, dx.size(), std::numeric_limits<Scalar>::quiet_NaN());
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        std::copy_n(x.data, x.size(), z.data);
    }
};

void register_layers() {
    register_own_layers();
    static std::once_flag once;
    std::call_once(once, [] { register_layer<SpoilGradient>("spoil-gradient"); });
}

/// What an epoch says, which must be the same on every rank.
std::string error_of(const std::string& model, const std::function<void(TrainerOptions&)>& change = {}) {
    register_layers();
    TrainerOptions options = small_options(5, "sync");
    options.model = model;
    if (change) change(options);
    const Images data = noisy_columns(67);
    const Communicator world(MPI_COMM_WORLD);
    Trainer<float> trainer(options, data, world);
    std::string error;
    try {
        trainer.run_epoch();
    } catch (const NumericalError& thrown) {
        error = thrown.what();
    }
    for (const std::string& other : world.all_gather(error, "errors")) EXPECT_EQ(other, error);
    return error;
}

void expect_part(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in '" << text << "'";
}

TEST(NotFinite, TheLayerThatOverflowsIsNamedAndTheRateIsNotBlamedBeforeTheFirstStep) {
    const std::string text = error_of("linear 8, dropout 0.1, linear 8, scale 1e38, scale 1e38, linear 5");
    expect_part(
        text,
        "epoch 1, step 0: the first layer whose output is not is one of layers 2 to 4 (linear, scale, "
        "scale): scale inputs and targets down");
    expect_part(error_of("linear 5, shift 3e38, shift 3e38"), "is layer 2 (shift)");
    expect_part(error_of("linear 5, shift 1e39"),
                "parameter '1.bias' (infinite) has been so from the beginning");
    EXPECT_EQ(text.find("learning rate"), std::string::npos) << text;
}

TEST(NotFinite, ARateThatIsTooHighIsBlamed) {
    const std::string text = error_of("linear 8, relu, linear 5",
                                      [](TrainerOptions& options) { options.schedule.learning_rate = 1e30; });
    expect_part(text, "step 1: the first layer whose output is not is layer ");
    expect_part(text, "lower the learning rate");
}

TEST(NotFinite, AGradientThatIsNotIsNamedByItsParameter) {
    const char* const model = "linear 8, spoil-gradient, linear 5";
    expect_part(error_of(model),
                "step 1: parameter '0.bias' (NaN) is not finite since the step before: its gradient");
    const std::string at_once = error_of(model, [](TrainerOptions& options) { options.clip_norm = 1; });
    expect_part(at_once,
                "the loss is finite at epoch 1, step 0, but the gradient of parameter '0.bias' (NaN) is not");
    EXPECT_EQ(at_once.find("learning rate"), std::string::npos) << at_once;
}

TEST(NotFinite, ParametersAreNamedAfterTheLastStepOfAnEpoch) {
    // One step an epoch: no loss comes after it.
    const std::string text = error_of("linear 8, spoil-gradient, linear 5",
                                      [](TrainerOptions& options) { options.batch_size = 100; });
    expect_part(text, "no longer finite after epoch 1: '0.bias' (NaN)");
}

}  // namespace
}  // namespace lockstep::test
