// Configuration files.
#include "scratch.hpp"

#include "launch/options.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("config.cfg", {data, size});
    may_refuse([&] {
        lockstep::launch::RunOptions options;
        auto table = lockstep::launch::table_of(options);
        lockstep::launch::read_arguments({"--config", path.string()}, table, options);
        lockstep::launch::configuration_text(table.settings());
    });
    return 0;
}
