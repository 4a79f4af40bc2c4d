// metrics.jsonl, read as it is and continued.
#include "scratch.hpp"

#include <lockstep/train/metrics.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("metrics.jsonl", {data, size});
    may_refuse([&] { lockstep::read_metrics(path); });
    may_refuse([&] { lockstep::MetricsWriter::resume(path, 1); });
    return 0;
}
