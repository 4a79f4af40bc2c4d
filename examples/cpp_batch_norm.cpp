// Fits y = f(x) by a batch norm and a linear readout, on any number of MPI ranks, each with its own share of
// the data. The features differ in scale by a factor of a million: batch norm takes care of that.
#include <lockstep/norm.hpp>

#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    constexpr int samples = 97, features = 3;
    const lockstep::Communicator comm(MPI_COMM_WORLD, {.timeout_seconds = 60});
    lockstep::SyncBatchNorm<double> norm(features, comm, {.name = "input"});

    // This rank's share: a contiguous part, of whatever size.
    const int first = samples * comm.rank() / comm.size(), last = samples * (comm.rank() + 1) / comm.size();
    const int mine = last - first;
    std::vector<double> x, y, z(mine * features), dz(z.size()), dx(z.size());
    for (int i = first; i < last; ++i) {
        const double t = std::sin(0.37 * i), u = std::cos(1.7 * i), v = std::sin(2.9 * i);
        x.insert(x.end(), {1e3 + t, 1e-2 * u, 50 * v - 7});
        y.push_back(2 * t - u + 0.5 * v + 0.1 * std::sin(7.3 * i));
    }

    std::vector<double> weights(features, 0.0), sums(1 + 3 * features);
    for (int step = 0; step < 200; ++step) {
        lockstep::BatchMoments saved;
        norm.forward(x, z, {.batch = mine}, saved);  // the one exchange of the forward pass

        // Loss = mean of (w·z − y)²; its gradients are sums over all samples of all ranks.
        sums.assign(sums.size(), 0.0);
        for (int i = 0; i < mine; ++i) {
            double error = -y[i];
            for (int c = 0; c < features; ++c) error += weights[c] * z[i * features + c];
            sums[0] += error * error / samples;
            for (int c = 0; c < features; ++c) {
                sums[1 + c] += 2 * error * z[i * features + c] / samples;
                dz[i * features + c] = 2 * error * weights[c] / samples;
            }
        }
        norm.zero_gradients();
        norm.backward(x, dz, dx, {.batch = mine}, saved);  // the one exchange of the backward pass
        for (int k = 0; k < 2 * features; ++k) sums[1 + features + k] = norm.gradients()[k];

        MPI_Allreduce(MPI_IN_PLACE, sums.data(), int(sums.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        for (int c = 0; c < features; ++c) {
            weights[c] -= 0.1 * sums[1 + c];
            norm.gamma()[c] -= 0.1 * sums[1 + features + c];
            norm.beta()[c] -= 0.1 * sums[1 + 2 * features + c];
        }
    }
    norm.infer(x, z, {.batch = mine});  // evaluation: communicates nothing
    if (comm.rank() == 0) std::printf("loss after 200 steps: %.9f\n", sums[0]);
    MPI_Finalize();
}
