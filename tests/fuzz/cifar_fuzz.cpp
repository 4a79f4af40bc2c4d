// Images in CIFAR's files, plain or compressed.
#include "scratch.hpp"

#include <lockstep/data/cifar.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto [train, test] = in_two({data, size});
    Scratch::folder().file("train.bin", train);
    Scratch::folder().file("test.bin", test);
    for (const char* name :
         {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"})
        Scratch::folder().file(name, train);
    Scratch::folder().file("test_batch.bin", test);
    may_refuse([&] { lockstep::read_cifar100(Scratch::folder().path()); });
    may_refuse([&] { lockstep::read_cifar10(Scratch::folder().path()); });
    return 0;
}
