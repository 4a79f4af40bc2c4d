// The sums of a training step by MPI_Allreduce, one after the other: what tests/hosts/latency compares with.
//   all_reduce_steps STEPS FLOATS DOUBLES...     prints the seconds of a step
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    if (argc < 3) MPI_Abort(MPI_COMM_WORLD, 2);
    const int steps = std::atoi(argv[1]);
    std::vector<float> gradients(static_cast<std::size_t>(std::atoi(argv[2])));
    std::vector<std::vector<double>> statistics;
    for (int i = 3; i < argc; ++i) statistics.emplace_back(static_cast<std::size_t>(std::atoi(argv[i])));
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    double start = 0;
    for (int step = -steps; step < steps;
         ++step) {  // as many before as are counted: TCP has to get up to speed
        if (step == 0) start = MPI_Wtime();
        for (std::vector<double>& sum : statistics)
            MPI_Allreduce(MPI_IN_PLACE, sum.data(), static_cast<int>(sum.size()), MPI_DOUBLE, MPI_SUM,
                          MPI_COMM_WORLD);
        MPI_Allreduce(MPI_IN_PLACE, gradients.data(), static_cast<int>(gradients.size()), MPI_FLOAT, MPI_SUM,
                      MPI_COMM_WORLD);
    }
    if (rank == 0) std::printf("%.6f\n", (MPI_Wtime() - start) / steps);
    MPI_Finalize();
    return 0;
}
