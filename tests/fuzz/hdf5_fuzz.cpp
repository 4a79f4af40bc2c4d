// Arrays in HDF5 files, named and listed. What HDF5's own library does with a damaged file is its own affair.
#include "array_reading.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("x.h5", {data, size});
    for (const char* dataset : {":/x", ":/group/y", ""})
        may_refuse([&] { read_some_rows(*lockstep::open_array(path.string() + dataset)); });
    return 0;
}
