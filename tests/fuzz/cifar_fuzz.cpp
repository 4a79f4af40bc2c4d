// Images in CIFAR's files, plain or compressed.
#include "scratch.hpp"

#include <lockstep/data/cifar.hpp>

namespace {

/// The batches of CIFAR-10 are the files of CIFAR-100 by other names: fewer files to write for each input.
void link_batches(const std::filesystem::path& folder) {
    for (const char* name :
         {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"})
        std::filesystem::create_hard_link(folder / "train.bin", folder / name);
    std::filesystem::create_hard_link(folder / "test.bin", folder / "test_batch.bin");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto [train, test] = in_two({data, size});
    const Scratch& scratch = Scratch::folder();
    scratch.file("train.bin", train);
    scratch.file("test.bin", test);
    [[maybe_unused]] static const bool linked = (link_batches(scratch.path()), true);
    may_refuse([&] { lockstep::read_cifar100(scratch.path()); });
    may_refuse([&] { lockstep::read_cifar10(scratch.path()); });
    return 0;
}
