// A checkpoint, loaded into the trainer of a run; and the same file as a model.
#include "scratch.hpp"

#include <lockstep/data/images.hpp>
#include <lockstep/train/checkpoint.hpp>
#include <lockstep/train/model_file.hpp>

#include <mpi.h>

#include <cstdio>
#include <cstring>

namespace {

using namespace lockstep;

Images tiny_images() {
    Images data;
    data.title = "tiny";
    data.shape = {2, 2, 1};
    data.classes = 2;
    for (int i = 0; i < 8; ++i) {
        data.labels.push_back(static_cast<std::uint8_t>(i % 2));
        for (int at = 0; at < 4; ++at) data.pixels.push_back(static_cast<std::uint8_t>(40 * i + 10 * at));
    }
    return data;
}

struct Run {
    Images data = tiny_images();
    TrainerOptions options{.model = "batchnorm, linear 3, relu, linear 2"};
    Trainer<float> trainer{options, data, Communicator::self()};
};

Run& run() {
    static auto* const one = new Run;  // MPI is finalized before statics go
    return *one;
}

}  // namespace

/// With --write FILE it writes the checkpoint of the run, as a seed, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    MPI_Init(nullptr, nullptr);
    std::atexit([] { MPI_Finalize(); });
    if (*argc == 3 && std::strcmp((*argv)[1], "--write") == 0) {
        run().trainer.run_epoch();
        save_checkpoint(run().trainer, (*argv)[2]);
        std::exit(0);
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("checkpoint.safetensors", {data, size});
    may_refuse([&] { load_checkpoint(run().trainer, path); });
    may_refuse([&] { load_model<float>(path); });
    return 0;
}
