// A label names layer, kind, call, channels and type, and any difference makes two labels differ.
#include <lockstep/comm/exchange_label.hpp>

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

TEST(ExchangeLabel, SaysWhatTheCallIs) {
    ExchangeLabel label("bn1", ExchangeKind::backward_sums, 300, sizeof(float));
    label.call = 17;
    const std::string text = label.to_string();
    for (const char* part : {"bn1", "backward", "17", "300 channels", "float"})
        EXPECT_NE(text.find(part), std::string::npos) << text << " lacks " << part;
}

TEST(ExchangeLabel, EveryFieldCounts) {
    const ExchangeLabel label("bn1", ExchangeKind::forward_moments, 8, sizeof(float));
    EXPECT_EQ(label, ExchangeLabel("bn1", ExchangeKind::forward_moments, 8, sizeof(float)));
    EXPECT_NE(label, ExchangeLabel("bn2", ExchangeKind::forward_moments, 8, sizeof(float)));
    EXPECT_NE(label, ExchangeLabel("bn1", ExchangeKind::backward_sums, 8, sizeof(float)));
    EXPECT_NE(label, ExchangeLabel("bn1", ExchangeKind::forward_moments, 9, sizeof(float)));
    EXPECT_NE(label, ExchangeLabel("bn1", ExchangeKind::forward_moments, 8, sizeof(double)));
    ExchangeLabel later = label;
    ++later.call;
    EXPECT_NE(label, later);
}

TEST(ExchangeLabel, LongNamesAreCutAndUnknownKindsAreNamedSo) {
    const ExchangeLabel label(std::string(500, 'x'), ExchangeKind::forward_moments, 1, 4);
    EXPECT_LT(label.to_string().size(), 200u);
    EXPECT_EQ(label.layer.back(), '\0');
    ExchangeLabel strange = label;
    strange.kind = static_cast<ExchangeKind>(999);
    EXPECT_NE(strange.to_string().find("unknown"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
