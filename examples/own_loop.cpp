/// A loop of your own: the five calls of a training step, and what you like between them. With the learning rates of
/// the schedule it ends with the bits of run_epoch.
#include <lockstep/lockstep.hpp>

#include <cstdio>
#include <string>

using namespace lockstep;

int main(int argc, char** argv) {
    const Session mpi(argc, argv);
    const Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const Images digits = make_digits(1, 0, 1000);
    TrainerOptions options{.model = "batchnorm, linear 50, relu, batchnorm, linear 10", .replicas = 4};
    options.batch_size = 16;
    options.schedule = {.kind = ScheduleKind::cosine, .learning_rate = 0.1, .epochs = 3};

    Trainer<float> trainer(options, digits, comm);
    while (trainer.epoch() < 3) {
        double loss = 0;
        trainer.begin_epoch();
        for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
            trainer.load_batch(step);
            trainer.forward();
            trainer.compute_loss();
            trainer.backward();
            // Any rate, as long as all ranks take the same.
            const StepResult result = trainer.update(trainer.learning_rate(step));
            loss += result.loss * static_cast<double>(result.samples);
        }
        trainer.end_epoch();
        if (comm.rank() == 0) std::printf("loss %.4f\n", loss / static_cast<double>(digits.size()));
    }

    Trainer<float> other(options, digits, comm);
    while (other.epoch() < 3) other.run_epoch();
    const std::string mine = to_hex16(fingerprint(trainer.network()));
    const bool same = mine == to_hex16(fingerprint(other.network()));
    if (comm.rank() == 0)
        std::printf("%s bits as run_epoch\nfingerprint: %s\n", same ? "the same" : "OTHER", mine.c_str());
    return same ? 0 : 1;
}
