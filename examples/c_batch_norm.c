/* Batch norm over the values of all ranks, in C: each rank has a share of the samples, and gets its share of the
 * results. */
#include <lockstep/lockstep.h>

#include <mpi.h>
#include <stdio.h>

enum { samples = 12, channels = 2 };

/* Says what went wrong, and ends the job: one way of treating errors. */
static void check(int code) {
    if (code == LOCKSTEP_OK) return;
    fprintf(stderr, "%s\n", lockstep_message());
    MPI_Abort(MPI_COMM_WORLD, code);
}

int main(int argc, char** argv) {
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);

    /* Samples begin … end − 1 are this rank's; there may be none. */
    const int begin = samples * rank / ranks, end = samples * (rank + 1) / ranks;
    float x[samples][channels], z[samples][channels], dx[samples][channels];
    for (int i = begin; i < end; ++i) {
        x[i - begin][0] = (float)i;
        x[i - begin][1] = 10 - 2 * (float)i;
    }

    /* A duplicate. An exchange over it that waits for another rank for more than 60 s is an error. */
    lockstep_communicator* comm;
    check(lockstep_communicator_create(MPI_COMM_WORLD, 60, &comm));
    lockstep_batch_norm_options options;
    check(lockstep_batch_norm_default_options(&options, sizeof options));
    options.name = "input";
    lockstep_batch_norm* layer;
    check(lockstep_batch_norm_create(LOCKSTEP_FLOAT, channels, comm, &options, &layer));
    lockstep_moments* saved; /* what backward needs of forward */
    check(lockstep_moments_create(&saved));

    const lockstep_shape shape = {
        .batch = end - begin, .spatial = 1, .channel_order = LOCKSTEP_CHANNELS_LAST};
    check(lockstep_batch_norm_forward(layer, x, z, shape, saved));      /* training */
    check(lockstep_batch_norm_backward(layer, x, z, dx, shape, saved)); /* the gradient of ½ Σ z² */
    check(lockstep_batch_norm_infer(layer, x, z, shape));               /* evaluation */

    const double *mean, *variance;
    double count;
    check(lockstep_moments_read(saved, 0, &count, &mean, &variance, NULL));
    for (int c = 0; rank == 0 && c < channels; ++c)
        printf("channel %d: %g values, mean %.3f, variance %.3f\n", c, count, mean[c], variance[c]);

    lockstep_moments_free(saved);
    lockstep_batch_norm_free(layer);
    lockstep_communicator_free(comm);
    MPI_Finalize();
    return 0;
}
