// Layers of a user's own: in texts, in C++, and what is wrong about them said clearly.
#include <lockstep/base/error.hpp>
#include <lockstep/nn/network.hpp>
#include <support/gradient_check.hpp>
#include <support/own_layers.hpp>

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace lockstep::test {
namespace {

template <class Function>
std::string message_of(Function function) {
    try {
        function();
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

std::string message_of_model(const std::string& model, Shape input = {4, 4, 2}) {
    return message_of([&] { Network<float>(model, input, {Communicator::self(), {}}); });
}

/// Of shapes that need not fit.
template <class Scalar>
struct Misfit final : Layer<Scalar> {
    using Layer<Scalar>::Layer;
    std::string kind() const override { return "misfit"; }
    void backward(const typename Layer<Scalar>::BackwardPass&) override {}
    void infer(const Tensor<const Scalar>&, const Tensor<Scalar>&) const override {}
};

/// Has parameters, and pushes the gradients of all of them so many times for each replica.
template <class Scalar>
struct Careless final : Layer<Scalar> {
    Careless(Shape shape, double pushes) : Layer<Scalar>(shape, shape), pushes_(static_cast<int>(pushes)) {}
    std::string kind() const override { return "careless"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset_ = layout.add_parameter(prefix + "bias", {this->input_shape().size()}, ParameterKind::bias);
    }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        const Index size = this->input_shape().size();
        for (int r = 0; r < pass.gradients.hosted(); ++r) {
            std::fill_n(pass.gradients.leaf(r, offset_), size, Scalar(0));
            for (int i = 0; i < pushes_; ++i) pass.gradients.push(r, offset_, offset_ + size);
        }
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        std::copy_n(x.data, x.size(), z.data);
    }

  private:
    int pushes_;
    Index offset_ = 0;
};

TEST(LayerRegistry, MakesLayersOfAUsersOwnWhereverLayersStand) {
    register_own_layers();
    const Shape shape = Shape::dense(5);
    expect_exact_gradients("scale 0.5", shape, {3, 2});
    expect_exact_gradients("linear 4, batchnorm, relu, scale -2, shift 0.5, gelu, linear 3", shape, {3, 2});
    expect_exact_gradients("residual { scale 0.5, shift }, shift, relu", shape, {3, 2});
    expect_exact_gradients("conv 3 3x3 pad 1, scale 3, flatten, shift", {4, 4, 2}, {2});
    const LayerHarness<float> harness("linear 4, residual { shift }", shape, {2}, Communicator::self());
    EXPECT_EQ(harness.layout().parameters().back().name, "1.body.0.bias");
}

TEST(LayerRegistry, SaysWhatIsWrongAboutALayerOfAUsersOwn) {
    register_own_layers();
    EXPECT_NE(message_of_model("flatten, scale").find("layer 1 ('scale'): it does not take 0 arguments"),
              std::string::npos);
    EXPECT_NE(message_of_model("scale 1 2").find("it does not take 2 arguments"), std::string::npos);
    EXPECT_NE(message_of_model("scale half").find("'half' is not a number"), std::string::npos);
    EXPECT_NE(message_of_model("conv 3 3x3, shift").find("it takes flat samples"), std::string::npos);
    EXPECT_NE(message_of_model("shift 1 2").find("it takes where its values begin"), std::string::npos);
    EXPECT_NE(message_of_model("scale 1 { relu }").find("it takes no layers in braces"), std::string::npos);
    EXPECT_NE(message_of_model("scales 1").find("scale, shift"), std::string::npos) << "known layers";
}

TEST(LayerRegistry, ALayerTakesWhatItGetsAndGivesSomething) {
    const auto message = [](const std::string& word, Shape takes, Shape gives) {
        register_layer(word, LayerInput::either, [=]<class Scalar>(const LayerContext<Scalar>&) {
            return std::make_unique<Misfit<Scalar>>(takes, gives);
        });
        return message_of_model("flatten, " + word + ", linear 2");
    };
    EXPECT_EQ(message("fits", Shape::dense(32), Shape::dense(7)), "no error");
    EXPECT_NE(message("takes-less", Shape::dense(31), Shape::dense(7)).find("where it gets 32"),
              std::string::npos);
    EXPECT_NE(message("gives-none", Shape::dense(32), Shape::dense(0)).find("layer 1"), std::string::npos);
    EXPECT_NE(message("gives-less", Shape::dense(32), Shape::dense(-5)).find("give -5"), std::string::npos);
}

TEST(LayerRegistry, ALayerPushesEachGradientOnce) {
    register_layer<Careless>("careless");
    const auto message = [](const std::string& model) {
        LayerHarness<float> harness(model, Shape::dense(20), {2, 0, 1}, Communicator::self());
        harness.forward();
        return message_of([&] { harness.backward(); });
    };
    EXPECT_EQ(message("linear 17, careless 1, relu"), "no error");
    EXPECT_NE(message("linear 17, careless 0, relu")
                  .find("layer 1 (careless): its backward has pushed 0 gradients"),
              std::string::npos);
    EXPECT_NE(message("relu, residual { relu, careless 2 }")
                  .find("layer 1 (careless): its backward has pushed 120"),
              std::string::npos);
}

TEST(LayerRegistry, TakesAWordOnce) {
    register_own_layers();
    const auto make = []<class Scalar>(const LayerContext<Scalar>& layer) {
        return std::make_unique<Scale<Scalar>>(layer.input(), 1.0);
    };
    const auto message = [&](const std::string& word) {
        return message_of([&] { register_layer(word, LayerInput::either, make); });
    };
    EXPECT_NE(message("scale").find("'scale' is registered already"), std::string::npos);
    EXPECT_NE(message("relu").find("'relu' is registered already"), std::string::npos);
    EXPECT_NE(message("two words").find("cannot stand in a model text"), std::string::npos);
    EXPECT_NE(message("").find("cannot stand in a model text"), std::string::npos);
    EXPECT_NE(message_of([] { register_layer<Scale>("scale-again"); }).find("is registered as 'scale'"),
              std::string::npos);
}

TEST(LayerRegistry, MayBeUsedByManyThreads) {
    register_own_layers();
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([i] {
            const std::string word = "threads-own-" + std::to_string(i);
            register_layer(word, LayerInput::either, []<class Scalar>(const LayerContext<Scalar>& layer) {
                return std::make_unique<Scale<Scalar>>(layer.input(), 2.0);
            });
            for (int repeat = 0; repeat < 100; ++repeat)
                EXPECT_EQ(canonical_model(word + ",elu  1"), word + ", elu");
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(message_of_model("threads-own-0, threads-own-3"), "no error");
}

}  // namespace
}  // namespace lockstep::test
