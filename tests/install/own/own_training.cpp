/// Everything of one's own in 100 lines: a data set, a layer, a loss and a loop, with a checkpoint after each epoch.
///
///     mpirun -n 3 own_training CHECKPOINT [STEPS]
///
/// goes on from the checkpoint if there is one, and stops after so many steps, as a job does whose time is over.
#include <lockstep/lockstep.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>

using namespace lockstep;

/// Buoys: from the wind of the last eight hours (m/s) to the height of the waves (m).
class Buoys final : public Dataset {
  public:
    std::string name() const override { return "buoys"; }
    Index size() const override { return 1000; }
    Shape input_shape() const override { return Shape::dense(8); }
    Target target() const override { return {.values = 1}; }
    void read_input(Index sample, double* wind) const override {
        for (Index hour = 0; hour < 8; ++hour)
            wind[hour] = static_cast<double>((sample * 37 + hour * hour * 61) % 101) / 5;
    }
    void read_target(Index sample, double* height) const override {
        double wind[8];
        read_input(sample, wind);
        height[0] = 0.02 * wind[7] * wind[7] + 0.1 * std::max(0.0, wind[3] - 10);
    }
};

/// z = max(x, 0) + slope·min(x, 0), with a slope for each feature that is learned. "prelu 0.25" starts at 0.25.
template <class Scalar>
struct PRelu final : Layer<Scalar> {
    PRelu(Shape shape, double first)
        : Layer<Scalar>(shape, shape), size(shape.size()), start(Scalar(first)) {}
    std::string kind() const override { return "prelu"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset = layout.add_parameter(prefix + "weight", {size}, ParameterKind::weight);
    }
    void bind(ParameterStore<Scalar>& store) override { slope = store.parameters.data() + offset; }
    void initialize(std::uint64_t) override { std::fill_n(slope, size, start); }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (int r = 0; r < pass.gradients.hosted(); ++r) {
            const Scalar *x = pass.x[r].data, *dz = pass.dz[r].data;
            Scalar *dx = pass.dx[r].data, *gradient = pass.gradients.leaf(r, offset);
            std::fill_n(gradient, size, Scalar(0));
            for (Index i = 0; i < pass.x[r].size(); ++i) {
                if (x[i] < 0) gradient[i % size] += dz[i] * x[i];
                if (dx != nullptr) dx[i] = x[i] < 0 ? slope[i % size] * dz[i] : dz[i];
            }
            pass.gradients.push(r, offset, offset + size);
        }
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i)
            z.data[i] = x.data[i] < 0 ? slope[i % size] * x.data[i] : x.data[i];
    }
    Index size, offset = 0;
    Scalar start, *slope = nullptr;
};

/// The pinball loss: its minimum is the height that nine of ten waves stay below.
double pinball(std::span<const double> height, std::span<const double> target, std::span<double> gradient) {
    const double missing = target[0] - height[0];
    if (!gradient.empty()) gradient[0] = missing > 0 ? -0.9 : 0.1;
    return missing > 0 ? 0.9 * missing : -0.1 * missing;
}

int main(int argc, char** argv) {
    const Session mpi(argc, argv);
    const Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    const std::filesystem::path checkpoint = argv[1];
    int steps_left = argc > 2 ? std::atoi(argv[2]) : -1;
    register_layer<PRelu>("prelu");
    const Buoys buoys;
    TrainerOptions options{.model = "batchnorm, linear 16, batchnorm, prelu 0.25, linear 1", .replicas = 8};
    options.batch_size = 8;
    options.loss = own_loss("pinball 0.9", pinball);
    Trainer<float> trainer(options, buoys, comm);
    if (std::filesystem::exists(checkpoint)) load_checkpoint(trainer, checkpoint);
    while (trainer.epoch() < 8) {
        trainer.begin_epoch();
        for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
            if (steps_left-- == 0) return 0;
            trainer.load_batch(step);
            trainer.forward();
            trainer.compute_loss();
            trainer.backward();
            trainer.update(0.2 / static_cast<double>(2 + trainer.epoch()));
        }
        trainer.end_epoch();
        if (comm.rank() == 0) save_checkpoint(trainer, checkpoint);
    }
    if (comm.rank() == 0) std::printf("fingerprint: %s\n", to_hex16(fingerprint(trainer.network())).c_str());
}
