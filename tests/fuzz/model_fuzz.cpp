// Model texts: what is written in canonical form reads back as the same.
#include "scratch.hpp"

#include <lockstep/nn/model_parser.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::string canonical;
    may_refuse([&] { canonical = lockstep::canonical_model(text); });
    if (!canonical.empty() && lockstep::canonical_model(canonical) != canonical) std::abort();
    return 0;
}
