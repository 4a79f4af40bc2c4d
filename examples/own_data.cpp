/// A data set of your own: derive from Dataset. Whatever is behind it, each rank reads the samples of its replicas alone.
#include <lockstep/lockstep.hpp>

#include <algorithm>
#include <cstdio>

using namespace lockstep;

/// Wind turbines: from the speed of the wind (m/s) and the pitch of the blades (degrees) to the power (MW).
class Turbines final : public Dataset {
  public:
    std::string name() const override { return "turbines"; }
    Index size() const override { return 2000; }
    Shape input_shape() const override { return Shape::dense(2); }
    Target target() const override { return {.values = 1}; }  // for classes {.classes = 10}
    void read_input(Index sample, double* values) const override {
        values[0] = 3 + 0.01 * static_cast<double>(sample % 1000);
        values[1] = static_cast<double>(sample * 7 % 30);
    }
    void read_target(Index sample, double* power) const override {
        double input[2];
        read_input(sample, input);
        power[0] = std::min(3.0, 0.002 * input[0] * input[0] * input[0]) * (1 - input[1] / 60);
    }
};

int main(int argc, char** argv) {
    const Session mpi(argc, argv);
    const Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const Turbines turbines;
    TrainerOptions options{.model = "batchnorm, linear 32, relu, batchnorm, linear 1", .replicas = 4};
    options.schedule = {.kind = ScheduleKind::cosine, .learning_rate = 0.05, .epochs = 20};
    Trainer<float> trainer(options, turbines, comm);
    while (trainer.epoch() < 20) trainer.run_epoch();

    const Evaluation found = evaluate(trainer.network(), turbines, trainer.transform(), trainer.loss(), comm);
    if (comm.rank() == 0)
        std::printf("RMSE %.4f MW, R2 %.4f\nfingerprint: %s\n", found.all.rmse, found.all.r2,
                    to_hex16(fingerprint(trainer.network())).c_str());
}
