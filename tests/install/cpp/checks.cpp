// What an embedder relies on, checked from outside: numbers, errors that can be caught, and ends after
// MPI_Finalize.
#include <lockstep/base/error.hpp>
#include <lockstep/norm.hpp>

#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::printf("failed: %s\n", what);
}

bool close(double a, double b) {
    return std::abs(a - b) <= 1e-6 * (1 + std::abs(b));
}

/// Values 0, 1, 2 … over all ranks, rank r holding r + 1 of them.
void check_numbers(const lockstep::Communicator& comm) {
    lockstep::SyncBatchNorm<float> norm(1, comm);
    const int mine = comm.rank() + 1, first = comm.rank() * (comm.rank() + 1) / 2;
    const int all = comm.size() * (comm.size() + 1) / 2;
    std::vector<float> x, z(mine);
    for (int i = 0; i < mine; ++i) x.push_back(static_cast<float>(first + i));
    lockstep::BatchMoments saved;
    norm.forward(x, z, {.batch = mine}, saved);
    const double mean = (all - 1) / 2.0, variance = (static_cast<double>(all) * all - 1) / 12;
    check(saved.count() == all, "the count is that of all ranks");
    check(close(saved.mean()[0], mean) && close(saved.variance()[0], variance),
          "mean and variance of all ranks");
    for (int i = 0; i < mine; ++i)
        check(close(z[i], (x[i] - mean) / std::sqrt(variance + 1e-5)), "normalized over all ranks");
    check(close(norm.running_mean()[0], 0.1 * mean), "running mean");
    const double unbiased = all > 1 ? 0.9 + 0.1 * variance * all / (all - 1) : 1.0;
    check(close(norm.running_var()[0], unbiased), "running variance, unbiased");
}

/// Exceptions cross the border of the (shared) library with their types.
void check_errors(const lockstep::Communicator& comm) {
    try {
        lockstep::SyncBatchNorm<double> norm(4, comm, {.epsilon = -1});
        check(false, "a negative epsilon is refused");
    } catch (const lockstep::UsageError& error) {
        check(std::string(error.what()).find("epsilon") != std::string::npos, "the error says what is wrong");
    }
    if (comm.size() == 1) return;
    const lockstep::Communicator own(MPI_COMM_WORLD);
    lockstep::SyncBatchNorm<float> first(1, own, {.name = "first"}), second(1, own, {.name = "second"});
    try {
        float x = 1, z = 0;
        lockstep::BatchMoments saved;
        (comm.rank() == 0 ? first : second).forward(&x, &z, {.batch = 1}, saved);
        check(false, "layers in another order are an error");
    } catch (const lockstep::CommunicationError& error) {
        const std::string text = error.what();
        check(text.find("first") != std::string::npos && text.find("second") != std::string::npos,
              "the error names both sides");
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    auto comm = std::make_unique<lockstep::Communicator>(MPI_COMM_WORLD);
    auto norm = std::make_unique<lockstep::SyncBatchNorm<float>>(2, *comm);
    check_numbers(*comm);
    check_errors(*comm);
    float x[2] = {1, 2}, z[2];
    lockstep::BatchMoments saved;
    norm->forward(x, z, {.batch = 1}, saved);
    int failed = 0;
    MPI_Allreduce(&failures, &failed, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    // Objects of the library may outlive MPI.
    norm->infer(x, z, {.batch = 1});
    norm.reset();
    comm.reset();
    return failed == 0 ? 0 : 1;
}
