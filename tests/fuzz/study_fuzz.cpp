// The record of a combination of a study.
#include "scratch.hpp"

#include <lockstep/report/study.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    may_refuse([&] { lockstep::to_json(lockstep::combination_from_json(text, "a record")); });
    return 0;
}
