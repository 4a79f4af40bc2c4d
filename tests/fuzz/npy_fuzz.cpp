// NumPy's arrays.
#include "array_reading.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("x.npy", {data, size});
    may_refuse([&] { read_some_rows(*lockstep::open_array(path.string())); });
    return 0;
}
