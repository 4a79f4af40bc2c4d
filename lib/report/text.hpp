/// Numbers as people read them. Independent of the locale.
#pragma once

#include <lockstep/report/summary.hpp>

#include <string>

namespace lockstep {

/// With so many decimals; an en dash for what was not measured.
std::string fixed(double value, int decimals);
/// With so many significant digits, without trailing zeros: "0.25", "1500", "2e-06".
std::string significant(double value, int digits);
/// "12.34 ± 0.56", or the mean alone where there is no deviation.
std::string with_deviation(const Spread& spread, int decimals);
/// "3.2 µs", "1.25 ms", "2 s", "1 h 5 min".
std::string duration(double seconds);
/// "2, 4 and 8".
std::string enumeration(const std::vector<std::string>& items);

/// With a capital letter in front.
std::string capitalized(std::string text);

}  // namespace lockstep
