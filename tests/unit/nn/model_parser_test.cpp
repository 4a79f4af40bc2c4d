#include <lockstep/base/error.hpp>
#include <lockstep/nn/model_parser.hpp>

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

std::string message_of(const std::string& text) {
    try {
        parse_model(text);
    } catch (const UsageError& error) {
        return error.what();
    }
    return {};
}

TEST(ModelParser, SplitsLayersAndArguments) {
    const ModelDescription model =
        parse_model("  batchnorm,linear 300 ,\n\trelu, conv 16 3x3 stride 2 pad 1");
    ASSERT_EQ(model.size(), 4u);
    EXPECT_EQ(model[0].kind, "batchnorm");
    EXPECT_TRUE(model[0].arguments.empty());
    EXPECT_EQ(model[1].kind, "linear");
    EXPECT_EQ(model[1].arguments, std::vector<std::string>{"300"});
    EXPECT_EQ(model[3].arguments, (std::vector<std::string>{"16", "3x3", "stride", "2", "pad", "1"}));
}

TEST(ModelParser, NestsLayersInBraces) {
    const ModelDescription model =
        parse_model("relu, residual zero-gamma { linear 3, residual {relu}, batchnorm }, relu");
    ASSERT_EQ(model.size(), 3u);
    EXPECT_EQ(model[1].kind, "residual");
    EXPECT_EQ(model[1].arguments, std::vector<std::string>{"zero-gamma"});
    ASSERT_EQ(model[1].body.size(), 3u);
    EXPECT_EQ(model[1].body[1].body.at(0).kind, "relu");
}

TEST(ModelParser, WritesWhatItHasRead) {
    for (const std::string text :
         {"linear 300", "residual { conv 16 3x3 pad 1, batchnorm }", "residual zero-gamma { relu }"}) {
        const ModelDescription model = parse_model(text);
        ASSERT_EQ(model.size(), 1u);
        EXPECT_EQ(model[0].to_string(), text);
    }
}

TEST(ModelParser, WritesOneModelInOneWay) {
    const std::pair<std::string, std::string> cases[] = {
        {" linear  300,\n relu", "linear 300, relu"},
        {"batchnorm affine false momentum 1e-2 epsilon 1e-3",
         "batchnorm epsilon 0.001 momentum 0.01 affine false"},
        {"batchnorm affine true", "batchnorm"},
        {"batchnorm momentum cumulative", "batchnorm momentum cumulative"},
        {"leaky-relu 0.010", "leaky-relu"},
        {"leaky-relu .2, elu 1.0, elu 2", "leaky-relu 0.2, elu, elu 2"},
        {"residual zero-gamma {batchnorm affine true,gelu  tanh}",
         "residual zero-gamma { batchnorm, gelu tanh }"},
        {"a-layer that nobody has registered", "a-layer that nobody has registered"},
    };
    for (const auto& [text, canonical] : cases) {
        EXPECT_EQ(canonical_model(text), canonical);
        EXPECT_EQ(canonical_model(canonical), canonical);
    }
    EXPECT_THROW(canonical_model("linear 3, batchnorm epsilon -1"), UsageError);
}

TEST(ModelParser, SaysWhereTheTextIsBroken) {
    for (const std::string text :
         {"", " ", ",", "relu,", ",relu", "relu,,relu", "residual {", "residual { }", "residual { relu",
          "residual { relu } }", "}", "{ relu }", "relu } , relu", "residual { relu } relu"}) {
        const std::string message = message_of(text);
        EXPECT_NE(message.find("at character"), std::string::npos) << "text \"" << text << "\": " << message;
    }
    EXPECT_NE(message_of("relu, , linear 3").find("layer is missing at character 7"), std::string::npos);
    EXPECT_NE(message_of("residual { relu").find("'}' is missing"), std::string::npos);
}

TEST(ModelParser, RefusesBracesThatNestWithoutEnd) {
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += "residual {";
    EXPECT_NE(message_of(text).find("nest"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
