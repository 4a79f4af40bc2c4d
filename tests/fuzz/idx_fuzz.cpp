// Images and labels in IDX files, plain or compressed.
#include "scratch.hpp"

#include <lockstep/data/idx.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto [images, labels] = in_two({data, size});
    Scratch::folder().file("images", images);
    Scratch::folder().file("labels", labels);
    may_refuse([&] { lockstep::read_idx(Scratch::folder().path(), "images", "labels"); });
    return 0;
}
