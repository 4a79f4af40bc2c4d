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

TEST(ExchangeLabel, NamesOfAnyLengthAreToldApartAlsoWhenRead) {
    for (const std::size_t length : {1, 34, 35, 36, 43, 44, 500}) {
        const std::string common(length, 'x');
        const ExchangeLabel one(common + "1", ExchangeKind::forward_moments, 1, 4);
        const ExchangeLabel two(common + "2", ExchangeKind::forward_moments, 1, 4);
        EXPECT_NE(one, two) << length;
        EXPECT_NE(one.to_string(), two.to_string()) << length;
        EXPECT_LT(one.to_string().size(), 200u);
        EXPECT_EQ(one.name.back(), '\0');
    }
    // What only the middle tells apart is at least not taken for the same.
    const std::string left(100, 'x'), right(100, 'x');
    EXPECT_NE(ExchangeLabel(left + "1" + right, ExchangeKind::forward_moments, 1, 4),
              ExchangeLabel(left + "2" + right, ExchangeKind::forward_moments, 1, 4));
}

TEST(ExchangeLabel, ACutNameIsStillUtf8) {
    for (std::size_t shift = 0; shift < 4; ++shift) {
        std::string name(shift, 'a');
        for (int i = 0; i < 40; ++i) name += "\u00b5";  // two bytes each
        const ExchangeLabel label(name, ExchangeKind::forward_moments, 1, 4);
        const std::string shown(label.name.data());
        for (std::size_t i = 0; i < shown.size();) {
            const bool two_bytes = static_cast<unsigned char>(shown[i]) == 0xC2;
            if (two_bytes) {
                ASSERT_LT(i + 1, shown.size()) << shown;
                EXPECT_EQ(static_cast<unsigned char>(shown[i + 1]), 0xB5) << shown;
            } else {
                EXPECT_LT(static_cast<unsigned char>(shown[i]), 0x80) << shown;
            }
            i += two_bytes ? 2 : 1;
        }
    }
}

TEST(ExchangeLabel, UnknownKindsAreNamedSo) {
    ExchangeLabel strange("bn", ExchangeKind::forward_moments, 1, 4);
    strange.kind = static_cast<ExchangeKind>(999);
    EXPECT_NE(strange.to_string().find("unknown"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
