/* Normalizes two channels over all ranks, forward and backward, in C; and checks the numbers. */
#include <lockstep/lockstep.h>

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static void check(int holds, const char* what) {
    if (holds) return;
    ++failures;
    printf("failed: %s\n", what);
}

/* Ends the program with the library's words: one way of treating errors. */
static void must(int code) {
    if (code == LOCKSTEP_OK) return;
    fprintf(stderr, "lockstep: %s\n", lockstep_message());
    MPI_Abort(MPI_COMM_WORLD, code);
}

static int is_close(double a, double b) {
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

static void check_numbers(lockstep_communicator* comm, int rank, int ranks) {
    /* Rank r has r + 1 samples; channel 0 counts them, channel 1 has 10 minus twice that. */
    const lockstep_shape shape = {rank + 1, 1, LOCKSTEP_CHANNELS_LAST};
    const int first = rank * (rank + 1) / 2, all = ranks * (ranks + 1) / 2;
    const double mean = (all - 1) / 2.0, variance = ((double)all * all - 1) / 12;
    double x[64], z[64], dz[64], dx[64], *running, sum = 0;
    void* values = NULL;
    int64_t count = 0;
    int done = 0;
    lockstep_batch_norm* layer = NULL;
    lockstep_moments* saved = NULL;

    must(lockstep_batch_norm_create(LOCKSTEP_DOUBLE, 2, comm, NULL, &layer));
    must(lockstep_moments_create(&saved));
    for (int i = 0; i <= rank; ++i) {
        x[2 * i] = first + i;
        x[2 * i + 1] = 10 - 2.0 * (first + i);
        dz[2 * i] = 1;
        dz[2 * i + 1] = x[2 * i];
    }
    must(lockstep_batch_norm_begin_forward(layer, x, z, shape, saved));
    must(lockstep_batch_norm_poll(layer, &done));
    must(lockstep_batch_norm_end_forward(layer));
    for (int i = 0; i <= rank; ++i) {
        check(is_close(z[2 * i], (x[2 * i] - mean) / sqrt(variance + 1e-5)), "channel 0 is normalized");
        check(is_close(z[2 * i + 1], -2 * (x[2 * i] - mean) / sqrt(4 * variance + 1e-5)),
              "channel 1 is normalized");
    }
    must(lockstep_batch_norm_backward(layer, x, dz, dx, shape, saved));
    for (int i = 0; i <= rank; ++i) check(fabs(dx[2 * i]) < 1e-9, "a constant dz leaves nothing of dx");
    for (int i = 0; i <= rank; ++i) sum += dx[2 * i + 1];
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    check(fabs(sum) < 1e-6, "dx sums up to 0 over all ranks");

    must(lockstep_batch_norm_values(layer, LOCKSTEP_BETA_GRADIENT, &values, &count));
    check(count == 2 && ((double*)values)[0] == rank + 1, "the gradient of beta is this rank's sum of dz");
    must(lockstep_batch_norm_values(layer, LOCKSTEP_RUNNING_MEAN, &values, NULL));
    running = values;
    check(is_close(running[0], 0.1 * mean) && is_close(running[1], 1 - 0.2 * mean), "running mean");
    must(lockstep_batch_norm_infer(layer, x, z, shape));
    lockstep_moments_free(saved);
    lockstep_batch_norm_free(layer);
}

/* Two replicas on each rank, whose values are those of check_numbers' samples 2·rank and 2·rank + 1, in one array of
 * the caller's that holds what is learned, too; on two threads. */
static void check_replicas(lockstep_communicator* comm, int rank, int ranks) {
    const lockstep_shape shape = {1, 1, LOCKSTEP_CHANNELS_LAST};
    const double mean = (2 * ranks - 1) / 2.0, variance = (4.0 * ranks * ranks - 1) / 12;
    const double *read_mean = NULL, *read_variance = NULL;
    double x[2], z[2], dx[2], gradients[4], memory[4], count = 0;
    lockstep_batch_norm_options options;
    lockstep_batch_norm* layer = NULL;
    lockstep_moments* saved = NULL;
    lockstep_precise_statistics* statistics = NULL;
    lockstep_thread_pool* pool = NULL;
    lockstep_executor executor;
    lockstep_forward_slice forward[2];
    lockstep_backward_slice backward[2];

    must(lockstep_batch_norm_default_options(&options, sizeof options));
    options.activation = LOCKSTEP_ACTIVATION_RELU;
    options.replicas = 2 * ranks;
    must(lockstep_batch_norm_create(LOCKSTEP_DOUBLE, 1, comm, &options, &layer));
    must(lockstep_batch_norm_bind(layer, memory, memory + 1, memory + 2, memory + 3));
    check(memory[0] == 1 && memory[1] == 0, "gamma and beta have moved to the caller's memory");
    memory[1] = 0.25;
    must(lockstep_thread_pool_create(2, &pool));
    must(lockstep_thread_pool_executor(pool, &executor));
    must(lockstep_batch_norm_set_executor(layer, &executor));
    must(lockstep_batch_norm_set_epsilon(layer, 0.5));
    must(lockstep_moments_create(&saved));
    must(lockstep_precise_statistics_create(layer, &statistics));
    for (int i = 0; i < 2; ++i) {
        x[i] = 2 * rank + i;
        forward[i] = (lockstep_forward_slice){x + i, z + i, shape};
        backward[i] =
            (lockstep_backward_slice){x + i, x + i, dx + i, shape, gradients + 2 * i, gradients + 2 * i + 1};
    }
    must(lockstep_batch_norm_forward_slices(layer, forward, 2, saved));
    must(lockstep_moments_read(saved, 0, &count, &read_mean, &read_variance, NULL));
    check(count == 2 * ranks && is_close(*read_mean, mean) && is_close(*read_variance, variance), "moments");
    must(lockstep_batch_norm_backward_slices(layer, backward, 2, saved));
    for (int i = 0; i < 2; ++i) {
        const double y = (x[i] - mean) / sqrt(variance + 0.5) + 0.25;
        check(is_close(z[i], y > 0 ? y : 0), "what is negative is cut off");
        check(is_close(gradients[2 * i + 1], y > 0 ? x[i] : 0), "and has no gradient");
    }
    must(lockstep_precise_statistics_add(statistics));
    must(lockstep_precise_statistics_finish(statistics, 1));
    check(is_close(memory[2], mean) && is_close(memory[3], variance * 2 * ranks / (2 * ranks - 1)),
          "exact statistics are in the caller's memory");
    lockstep_precise_statistics_free(statistics);
    lockstep_moments_free(saved);
    lockstep_batch_norm_free(layer);
    lockstep_thread_pool_free(pool);
}

static void check_errors(lockstep_communicator* comm) {
    lockstep_batch_norm_options options;
    lockstep_batch_norm* layer = NULL;
    lockstep_shape shape = {1, 1, LOCKSTEP_CHANNELS_LAST};
    float x[1] = {1}, z[1];
    must(lockstep_batch_norm_default_options(&options, sizeof options));
    options.name = "closure";
    options.momentum = 2;
    check(lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, comm, &options, &layer) == LOCKSTEP_USAGE_ERROR,
          "a momentum of 2 is refused");
    check(strstr(lockstep_message(), "momentum") != NULL, "the message says what is wrong");
    check(lockstep_batch_norm_create(7, 1, comm, NULL, &layer) == LOCKSTEP_USAGE_ERROR,
          "an unknown type is refused");
    check(lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, NULL, NULL, &layer) == LOCKSTEP_USAGE_ERROR,
          "NULL is refused");
    check(layer == NULL, "nothing is created on an error");
    check(lockstep_batch_norm_end_forward(NULL) == LOCKSTEP_USAGE_ERROR, "a NULL layer is refused");

    options.momentum = 0.1;
    must(lockstep_batch_norm_create(LOCKSTEP_FLOAT, 1, comm, &options, &layer));
    check(lockstep_batch_norm_forward(layer, x, z, shape, NULL) == LOCKSTEP_USAGE_ERROR,
          "NULL moments are refused");
    check(lockstep_batch_norm_infer(layer, NULL, z, shape) == LOCKSTEP_USAGE_ERROR,
          "a NULL array is refused");
    shape.batch = -1;
    check(lockstep_batch_norm_infer(layer, x, z, shape) == LOCKSTEP_USAGE_ERROR,
          "a negative batch is refused");
    check(lockstep_batch_norm_end_backward(layer) == LOCKSTEP_USAGE_ERROR,
          "an end without a begin is refused");
    check(strstr(lockstep_message(), "closure") != NULL, "the message names the layer");
    lockstep_batch_norm_free(layer);
}

int main(int argc, char** argv) {
    int rank = 0, ranks = 1;
    lockstep_communicator* comm = NULL;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    must(lockstep_communicator_create(MPI_COMM_WORLD, 60, &comm));
    check_numbers(comm, rank, ranks);
    check_replicas(comm, rank, ranks);
    check_errors(comm);
    MPI_Allreduce(MPI_IN_PLACE, &failures, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Finalize();
    lockstep_communicator_free(comm);
    lockstep_batch_norm_free(NULL);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
