/// A layer of your own, by a word of your own in model texts, checkpoints and model files.
#include <lockstep/lockstep.hpp>

#include <algorithm>
#include <cstdio>

using namespace lockstep;

/// z = gain·x, with a gain for each feature that is learned. "gain 0.5" starts at 0.5.
template <class Scalar>
struct Gain final : Layer<Scalar> {
    Gain(Shape shape, double value) : Layer<Scalar>(shape, shape), size(shape.size()), first(Scalar(value)) {}
    std::string kind() const override { return "gain"; }
    void declare(ParameterLayout& layout, const std::string& prefix) override {
        offset = layout.add_parameter(prefix + "gain", {size}, ParameterKind::scale);
    }
    void bind(ParameterStore<Scalar>& store) override { gain = store.parameters.data() + offset; }
    void initialize(std::uint64_t) override { std::fill_n(gain, size, first); }
    void backward(const typename Layer<Scalar>::BackwardPass& pass) override {
        for (int r = 0; r < pass.gradients.hosted(); ++r) {  // each replica that lives on this rank
            const auto &x = pass.x[r], &dz = pass.dz[r];
            Scalar* const gradient = pass.gradients.leaf(r, offset);
            std::fill_n(gradient, size, Scalar(0));
            for (Index i = 0; i < dz.size(); ++i) gradient[i % size] += dz.data[i] * x.data[i];
            pass.gradients.push(r, offset, offset + size);
            if (pass.dx[r].data != nullptr) infer(dz, pass.dx[r]);  // dx = gain·dz; null in a first layer
        }
    }
    void infer(const Tensor<const Scalar>& x, const Tensor<Scalar>& z) const override {
        for (Index i = 0; i < x.size(); ++i) z.data[i] = gain[i % size] * x.data[i];
    }

    Index size, offset = 0;
    Scalar first, *gain = nullptr;
};

int main(int argc, char** argv) {
    const Session mpi(argc, argv);
    const Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    register_layer<Gain>("gain");
    const Images digits = make_digits(1, 0, 1000);
    Trainer<float> trainer({.model = "linear 50, gain 0.5, relu, linear 10", .replicas = 4}, digits, comm);
    for (int epoch = 0; epoch < 3; ++epoch) trainer.run_epoch();
    if (comm.rank() == 0) std::printf("fingerprint: %s\n", to_hex16(fingerprint(trainer.network())).c_str());
}
