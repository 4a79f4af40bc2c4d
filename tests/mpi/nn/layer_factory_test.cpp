#include <lockstep/base/error.hpp>
#include <lockstep/nn/network.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace lockstep {
namespace {

Network<float> make_network(const std::string& model, Shape input) {
    return Network<float>(parse_model(model), input, {Communicator::self(), {}, 1e-5, 0.1});
}

std::string message_of(const std::string& model, Shape input = {28, 28, 1}) {
    try {
        make_network(model, input);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

TEST(LayerFactory, NamesTheLayerThatIsWrong) {
    const std::pair<std::string, std::string> cases[] = {
        {"linear 10, relo", "layer 1 ('relo')"},
        {"linear", "layer 0 ('linear')"},
        {"linear 0", "layer 0 ('linear 0')"},
        {"linear -3", "layer 0 ('linear -3')"},
        {"linear ten", "'ten' is not a number"},
        {"linear 10x", "'10x' is not a number"},
        {"linear 99999999999999999999999", "layer 0"},
        {"linear 1e3", "'1e3' is not a number"},
        {"linear 20000000", "layer 0"},
        {"linear 10 20", "layer 0"},
        {"relu 3", "layer 0 ('relu 3')"},
        {"flatten, relu { relu }", "layer 1"},
        {"batchnorm 3", "layer 0"},
        {"linear 10, relu, dropout 1", "layer 2 ('dropout 1')"},
        {"linear 10, relu, dropout nan", "layer 2 ('dropout nan')"},
        {"linear 10, relu, dropout", "layer 2 ('dropout')"},
        {"conv 16", "layer 0 ('conv 16')"},
        {"conv 16 3y3", "'3y3' is not a number"},
        {"conv 16 0x3", "layer 0 ('conv 16 0x3')"},
        {"conv 16 3x3 stride", "'stride' needs a value"},
        {"conv 16 3x3 dilation 2", "unknown setting 'dilation'"},
        {"conv 16 3x3 pad -1", "layer 0"},
        {"relu, conv 16 29x3", "layer 1 ('conv 16 29x3')"},
        {"maxpool 3 pad 2", "pad must not be more than half"},
        {"maxpool 30", "layer 0 ('maxpool 30')"},
        {"maxpool 3x2", "needs a stride"},
        {"avgpool", "layer 0 ('avgpool')"},
        {"conv 4 3x3, linear 10", "layer 1 ('linear 10')"},
        {"residual", "layer 0 ('residual')"},
        {"residual zero { relu }", "layer 0"},
        {"residual zero-gamma { conv 4 1x1 }", "needs a batchnorm"},
        {"conv 4 3x3, residual { conv 4 3x3 pad 1, conv 4 40x40 }", "layer 1.body.1 ('conv 4 40x40')"},
        {"residual { conv 4 3x3 pad 1, global-average-pool, linear 7 }", "no error"},
        {"residual { conv 4 28x1 }", "no stride takes the shortcut"},
        {"conv 4 3x3 pad 1 pad 1", "'pad' is said twice"},
        {"linear 10, softmax", "layer 1 ('softmax'): softmax is no layer: the loss applies it"},
        {"tanh 2", "it takes no argument"},
        {"leaky-relu 0.1 0.2", "one number at most, as in 'leaky-relu 0.01'"},
        {"leaky-relu -1", "must be at least 0"},
        {"elu one", "'one' is not a number"},
        {"gelu erf", "no argument, or 'tanh'"},
        {"batchnorm eps 1", "unknown setting 'eps'; known are epsilon, momentum and affine"},
        {"batchnorm epsilon", "'epsilon' needs a value"},
        {"batchnorm epsilon 0", "epsilon must be a positive number, not 0"},
        {"batchnorm epsilon inf", "epsilon must be a positive number, not inf"},
        {"batchnorm momentum 1.5", "momentum must lie between 0 and 1"},
        {"batchnorm momentum nan", "momentum must lie between 0 and 1"},
        {"batchnorm momentum plain", "'plain' is not a number"},
        {"batchnorm affine no", "'no' is neither true nor false"},
        {"batchnorm affine true momentum 0.1 affine true", "'affine' is said twice"},
        {"residual zero-gamma { conv 1 1x1, batchnorm affine false }", "the last of them with weights"},
    };
    for (const auto& [model, expected] : cases)
        EXPECT_NE(message_of(model).find(expected), std::string::npos)
            << "model '" << model << "' gives: " << message_of(model);
}

TEST(LayerFactory, ListsTheLayersThatExist) {
    for (const std::string kind : {"avgpool", "batchnorm", "conv", "dropout", "elu", "flatten", "gelu",
                                   "global-average-pool", "identity", "leaky-relu", "linear", "maxpool",
                                   "relu", "residual", "sigmoid", "silu", "softplus", "tanh"})
        EXPECT_NE(message_of("perceptron 3").find(kind), std::string::npos);
}

TEST(LayerFactory, TakesImagesFlatWhereNoLayerNeedsThem) {
    EXPECT_EQ(make_network("linear 10", {28, 28, 1}).input_shape(), Shape::dense(784));
    EXPECT_EQ(make_network("batchnorm, linear 10", {28, 28, 1}).layout().parameters()[0].size, 784);
}

TEST(LayerFactory, NamesAndShapesParametersAsTorchDoes) {
    const auto network =
        make_network("batchnorm, linear 300, relu, dropout 0.1, batchnorm, linear 10", {28, 28, 1});
    // From torch.nn.Sequential(BatchNorm1d(784), Linear(784, 300), ReLU(), Dropout(0.1), BatchNorm1d(300),
    // Linear(300, 10)).state_dict().
    const std::vector<std::pair<std::string, std::vector<Index>>> expected = {
        {"0.weight", {784}}, {"0.bias", {784}}, {"1.weight", {300, 784}}, {"1.bias", {300}},
        {"4.weight", {300}}, {"4.bias", {300}}, {"5.weight", {10, 300}},  {"5.bias", {10}},
    };
    const auto parameters = network.layout().parameters();
    ASSERT_EQ(parameters.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(parameters[i].name, expected[i].first);
        EXPECT_EQ(parameters[i].shape, expected[i].second);
    }
    const auto averages = network.layout().averages();
    ASSERT_EQ(averages.size(), 4u);
    EXPECT_EQ(averages[0].name, "0.running_mean");
    EXPECT_EQ(averages[1].name, "0.running_var");
    EXPECT_EQ(averages[3].name, "4.running_var");
    EXPECT_EQ(averages[3].shape, std::vector<Index>{300});
}

TEST(LayerFactory, GivesBatchNormsSettingsOfTheirOwn) {
    const auto network = make_network(
        "batchnorm, linear 4, batchnorm affine false momentum 0.01 epsilon 1e-3, batchnorm momentum "
        "cumulative",
        {5, 5, 1});
    const auto options = [&](std::size_t i) { return network.batch_norms()[i]->norm().options(); };
    EXPECT_EQ(options(0).epsilon, 1e-5);
    EXPECT_EQ(options(0).momentum, 0.1);
    EXPECT_TRUE(options(0).affine);
    EXPECT_EQ(options(1).epsilon, 1e-3);
    EXPECT_EQ(options(1).momentum, 0.01);
    EXPECT_EQ(options(1).name, "2");
    EXPECT_EQ(options(2).epsilon, 1e-5);
    EXPECT_EQ(options(2).momentum, std::nullopt);
    std::vector<std::string> names;
    for (const ParameterInfo& info : network.layout().parameters()) names.push_back(info.name);
    for (const ParameterInfo& info : network.layout().averages()) names.push_back(info.name);
    // As torch.nn.BatchNorm1d(4, affine=False) has it.
    EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "3.weight",
                                               "3.bias", "0.running_mean", "0.running_var", "2.running_mean",
                                               "2.running_var", "3.running_mean", "3.running_var"}));
}

TEST(LayerFactory, PlacesParametersSideBySideOnCacheLines) {
    const auto network = make_network("batchnorm, linear 300, relu, linear 10", {5, 5, 1});
    Index end = 0;
    for (const ParameterInfo& info : network.layout().parameters()) {
        EXPECT_EQ(info.offset % 16, 0);
        EXPECT_GE(info.offset, end);
        EXPECT_LT(info.offset, end + 16);
        end = info.end();
    }
    EXPECT_GE(network.layout().parameter_values(), end);
}

TEST(LayerFactory, InitializesAsAFunctionOfTheSeed) {
    auto one = make_network("linear 40, batchnorm, linear 3", {6, 6, 1});
    auto other = make_network("linear 40, batchnorm, linear 3", {6, 6, 1});
    one.initialize(5);
    other.initialize(6);
    EXPECT_FALSE(std::ranges::equal(one.parameters(), other.parameters()));
    // What training has left behind is gone.
    std::ranges::fill(other.parameters(), 3.0f);
    std::ranges::fill(other.averages(), 3.0f);
    other.batch_norms()[0]->norm().averages().set_batches(9);
    other.initialize(5);
    for (const ParameterInfo& info : one.layout().parameters())
        for (Index i = info.offset; i < info.end(); ++i)
            ASSERT_EQ(one.parameters()[i], other.parameters()[i]) << info.name;
    for (const ParameterInfo& info : one.layout().averages())
        for (Index i = info.offset; i < info.end(); ++i)
            ASSERT_EQ(one.averages()[i], info.name == "1.running_mean" ? 0 : 1) << info.name;
    for (const ParameterInfo& info : one.layout().averages())
        for (Index i = info.offset; i < info.end(); ++i)
            ASSERT_EQ(one.averages()[i], other.averages()[i]) << info.name;
    EXPECT_EQ(other.batch_norms()[0]->norm().averages().batches(), 0);
}

TEST(LayerFactory, InitializesWeightsAsHeAndOthers) {
    auto network = make_network("linear 400", {1, 1, 200});
    network.initialize(1);
    const ParameterInfo& weight = network.layout().parameters()[0];
    double squares = 0;
    for (Index i = weight.offset; i < weight.end(); ++i)
        squares += network.parameters()[i] * network.parameters()[i];
    EXPECT_NEAR(squares / static_cast<double>(weight.size), 2.0 / 200, 0.0002);
}

}  // namespace
}  // namespace lockstep
