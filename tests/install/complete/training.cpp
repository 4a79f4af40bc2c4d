// Trains a small convolutional network on the built-in digits, on any number of MPI ranks, and prints the fingerprint
// of its weights: the same at any number.
#include <lockstep/lockstep.hpp>

#if defined(__AVX__) || defined(EIGEN_WORLD_VERSION)
#error "the library changes how its users are compiled"
#endif

#include <cstdio>

int main(int argc, char** argv) {
    const lockstep::Session session(argc, argv);
    const lockstep::Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const lockstep::Images digits = lockstep::make_digits(1, 0, 200);
    lockstep::TrainerOptions options;
    options.model = "conv 5 3x3 stride 2, batchnorm, relu, maxpool 2, flatten, linear 20, relu, linear 10";
    options.replicas = 4;
    options.batch_size = 8;
    lockstep::Trainer<float> trainer(options, digits, comm);
    trainer.run_epoch({});
    if (comm.rank() == 0)
        std::printf("fingerprint: %s\n",
                    lockstep::to_hex16(lockstep::fingerprint(trainer.network())).c_str());
}
