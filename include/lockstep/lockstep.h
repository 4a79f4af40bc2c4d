/// The plain C interface of the batch norm layer: for C, and for every language that can call C.
///
/// It is lockstep::SyncBatchNorm behind opaque handles: norm/sync_batch_norm.hpp says what each call computes, and
/// what it needs of the other ranks. Functions return LOCKSTEP_OK or an error code; lockstep_message() then says what
/// went wrong. Nothing is printed, and nothing is ended (but a communicator handle that is invalid, and that MPI
/// cannot tell from a valid one, may make MPI end the job: one that was freed, say). MPI is initialized and finalized
/// by the caller, or by a session; handles may be freed after MPI_Finalize, and calls that would need MPI then are
/// LOCKSTEP_USAGE_ERROR.
///
/// Arrays (x, z, dz, dx) are of the layer's type, float or double, have batch · spatial · channels values, and stay
/// the caller's. Every handle that is created is freed by the caller; freeing NULL does nothing. Where a handle is
/// created, *place is NULL if that fails.
///
/// Threads: a handle, and all handles of layers on one communicator, belong to one thread at a time; infer alone may
/// be called by several, for a layer without an executor. If threads besides the main one call, MPI needs
/// MPI_THREAD_SERIALIZED, and MPI_THREAD_MULTIPLE if two communicators are in use at the same time. An exchange on a
/// thread that may not, or while another thread is in one, is a LOCKSTEP_USAGE_ERROR.
#ifndef LOCKSTEP_LOCKSTEP_H
#define LOCKSTEP_LOCKSTEP_H

/* NOLINTBEGIN(modernize-*, readability-identifier-naming): this is C. */
#include <lockstep/base/visibility.h>

#include <mpi.h> /* for MPI_Comm alone */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LOCKSTEP_OK = 0,
    LOCKSTEP_USAGE_ERROR = 1,         /* an argument or option that makes no sense */
    LOCKSTEP_COMMUNICATION_ERROR = 2, /* ranks that disagree, a rank that does not come, or MPI failed */
    LOCKSTEP_OTHER_ERROR = 3          /* out of memory, for instance */
};

/* Types of a layer's values. */
enum { LOCKSTEP_FLOAT = 1, LOCKSTEP_DOUBLE = 2 };

/* Where the channel index runs in memory; a Fortran array x(channels, samples) has channels last. */
enum {
    LOCKSTEP_CHANNELS_LAST = 0, /* [batch][spatial][channels] */
    LOCKSTEP_CHANNELS_FIRST = 1 /* [batch][channels][spatial] */
};

/* What is applied to a normalized value. */
enum { LOCKSTEP_ACTIVATION_NONE = 0, LOCKSTEP_ACTIVATION_RELU = 1 };

/* Arrays of `channels` values that belong to a layer. */
enum {
    LOCKSTEP_GAMMA = 0,
    LOCKSTEP_BETA = 1,
    LOCKSTEP_RUNNING_MEAN = 2,
    LOCKSTEP_RUNNING_VAR = 3,
    /* of this rank's values, added up since lockstep_batch_norm_zero_gradients: */
    LOCKSTEP_GAMMA_GRADIENT = 4,
    LOCKSTEP_BETA_GRADIENT = 5
};

typedef struct lockstep_session lockstep_session;
typedef struct lockstep_communicator lockstep_communicator;
typedef struct lockstep_batch_norm lockstep_batch_norm;
/* What backward needs from forward: of this layer, and in the same shape. The caller's: two forwards, with a handle
 * each, may precede their backwards. */
typedef struct lockstep_moments lockstep_moments;
typedef struct lockstep_precise_statistics lockstep_precise_statistics;
typedef struct lockstep_thread_pool lockstep_thread_pool;

typedef struct lockstep_shape {
    int64_t batch;   /* samples on this rank; may be 0 */
    int64_t spatial; /* values of a channel in one sample: 1, or height · width */
    int32_t channel_order;
} lockstep_shape;

/* Get the defaults with lockstep_batch_norm_default_options, and change what is to be different. */
typedef struct lockstep_batch_norm_options {
    int64_t size;       /* sizeof(lockstep_batch_norm_options): what the caller was compiled with */
    double epsilon;     /* 1e-5 */
    double momentum;    /* 0.1; ignored if cumulative */
    int32_t cumulative; /* 0; otherwise running averages are plain averages */
    int32_t affine;     /* 1; γ and β are learned */
    int32_t track_running_averages; /* 1; without them infer is an error */
    int32_t frozen;                 /* 0; forward normalizes with the running averages */
    int32_t activation;             /* LOCKSTEP_ACTIVATION_NONE */
    int32_t replicas; /* 0: one on each rank; otherwise how many there are, in contiguous blocks */
    int32_t group;    /* 0: all replicas share their statistics; otherwise how many neighbours do */
    int32_t reserved; /* 0 */
    const char* name; /* NULL; named in errors, the same on every rank; copied */
} lockstep_batch_norm_options;

/* One replica's part of a pass, for layers of several replicas on a rank: as the arguments of forward and backward.
 * gamma_gradient and beta_gradient (channels values each, or NULL) are written, not added up; dx may be NULL in all
 * slices on all ranks. */
typedef struct lockstep_forward_slice {
    const void* x;
    void* z;
    lockstep_shape shape;
} lockstep_forward_slice;

typedef struct lockstep_backward_slice {
    const void* x;
    const void* dz;
    void* dx;
    lockstep_shape shape;
    void* gamma_gradient;
    void* beta_gradient;
} lockstep_backward_slice;

/* The caller's threads. run calls task(argument, i) for every i from 0 to tasks − 1, on whatever threads and in
 * whatever order, and returns when all have ended. Results do not depend on how. */
typedef struct lockstep_executor {
    void* context;
    int32_t (*threads)(void* context); /* how many tasks may run at a time; 1 or more */
    void (*run)(void* context, int32_t tasks, void (*task)(void* argument, int32_t i), void* argument);
} lockstep_executor;

/* "0.1.0" */
LOCKSTEP_EXPORT const char* lockstep_version(void);
/* What the MPI library calls itself, as MPI_Get_library_version: callable before MPI_Init. */
LOCKSTEP_EXPORT const char* lockstep_mpi_library(void);
/* What the last call that failed on this thread says; valid until the next call that fails. Never NULL. */
LOCKSTEP_EXPORT const char* lockstep_message(void);

/* For languages without an MPI of their own: initializes MPI, with MPI_THREAD_MULTIPLE if it can be had, unless
 * somebody has. A session that did so finalizes MPI when it is freed (unless somebody has), as MPI_Finalize does:
 * collectively. */
LOCKSTEP_EXPORT int lockstep_session_create(lockstep_session** session);
LOCKSTEP_EXPORT void lockstep_session_free(lockstep_session* session);

/* Duplicates `parent`; collective over it. The time-out is of this call and of the exchanges over the duplicate. Layers
 * that share it notice each other's mistakes. */
LOCKSTEP_EXPORT int lockstep_communicator_create(MPI_Comm parent, double timeout_seconds,
                                                 lockstep_communicator** communicator);
/* The same from a Fortran handle: comm, or comm%MPI_VAL with the module mpi_f08; MPI_Comm_c2f gives it in C. */
LOCKSTEP_EXPORT int lockstep_communicator_create_fortran(int32_t parent, double timeout_seconds,
                                                         lockstep_communicator** communicator);
/* The same of MPI_COMM_WORLD. */
LOCKSTEP_EXPORT int lockstep_communicator_create_world(double timeout_seconds,
                                                       lockstep_communicator** communicator);
/* The calling process alone; not collective. */
LOCKSTEP_EXPORT int lockstep_communicator_create_self(lockstep_communicator** communicator);
LOCKSTEP_EXPORT void lockstep_communicator_free(lockstep_communicator* communicator);
LOCKSTEP_EXPORT int lockstep_communicator_rank(const lockstep_communicator* communicator, int32_t* rank);
LOCKSTEP_EXPORT int lockstep_communicator_size(const lockstep_communicator* communicator, int32_t* size);
/* As MPI_Comm_split: one communicator for each color (0 or more), ranks in the order of their keys. Collective. */
LOCKSTEP_EXPORT int lockstep_communicator_split(const lockstep_communicator* communicator, int32_t color,
                                                int32_t key, lockstep_communicator** part);
/* Collective: makes sure that `value` is the same text on every rank. Otherwise every rank gets an error that names
 * `what` (what the ranks are about to do), `key` and the values: for what they must decide alike, like which of several
 * calls comes next. */
LOCKSTEP_EXPORT int lockstep_communicator_check_agreement(const lockstep_communicator* communicator,
                                                          const char* what, const char* key,
                                                          const char* value);
/* Tells all other ranks that this one cannot go on, and why: whoever waits for it gets an error with these words at
 * once. The communicator is of no use after. */
LOCKSTEP_EXPORT int lockstep_communicator_announce_failure(const lockstep_communicator* communicator,
                                                           const char* why);

/* Fills in the defaults; `size` is sizeof(lockstep_batch_norm_options). */
LOCKSTEP_EXPORT int lockstep_batch_norm_default_options(lockstep_batch_norm_options* options, int64_t size);
/* Collective over the communicator: the ranks compare type, channels and options, and all get an error that
 * names what differs. `options` may be NULL: the defaults. The communicator may be freed before the layer. */
LOCKSTEP_EXPORT int lockstep_batch_norm_create(int type, int64_t channels,
                                               const lockstep_communicator* communicator,
                                               const lockstep_batch_norm_options* options,
                                               lockstep_batch_norm** layer);
LOCKSTEP_EXPORT void lockstep_batch_norm_free(lockstep_batch_norm* layer);

LOCKSTEP_EXPORT int lockstep_moments_create(lockstep_moments** moments);
LOCKSTEP_EXPORT void lockstep_moments_free(lockstep_moments* moments);
/* Of statistics group `group` of this rank (0 unless there are several): values per channel in the group (of all its
 * ranks), and pointers to `channels` means and biased variances, valid until the next forward into these moments.
 * Pointers that are NULL are not filled. */
LOCKSTEP_EXPORT int lockstep_moments_read(const lockstep_moments* moments, int32_t group, double* count,
                                          const double** mean, const double** variance, int64_t* channels);

/* Training. z may be x; dx may be dz or x. */
LOCKSTEP_EXPORT int lockstep_batch_norm_forward(lockstep_batch_norm* layer, const void* x, void* z,
                                                lockstep_shape shape, lockstep_moments* saved);
LOCKSTEP_EXPORT int lockstep_batch_norm_backward(lockstep_batch_norm* layer, const void* x, const void* dz,
                                                 void* dx, lockstep_shape shape,
                                                 const lockstep_moments* saved);
/* dγ and dβ alone, for a layer whose dx no rank wants. Communicates nothing. */
LOCKSTEP_EXPORT int lockstep_batch_norm_backward_parameters(lockstep_batch_norm* layer, const void* x,
                                                            const void* dz, lockstep_shape shape,
                                                            const lockstep_moments* saved);

/* For layers of several replicas on a rank: one slice for each of them, in order. */
LOCKSTEP_EXPORT int lockstep_batch_norm_forward_slices(lockstep_batch_norm* layer,
                                                       const lockstep_forward_slice* slices, int64_t count,
                                                       lockstep_moments* saved);
LOCKSTEP_EXPORT int lockstep_batch_norm_backward_slices(lockstep_batch_norm* layer,
                                                        const lockstep_backward_slice* slices, int64_t count,
                                                        const lockstep_moments* saved);

/* In two halves, to compute something else in between; all arguments stay where they are until the end. */
LOCKSTEP_EXPORT int lockstep_batch_norm_begin_forward(lockstep_batch_norm* layer, const void* x, void* z,
                                                      lockstep_shape shape, lockstep_moments* saved);
LOCKSTEP_EXPORT int lockstep_batch_norm_end_forward(lockstep_batch_norm* layer);
LOCKSTEP_EXPORT int lockstep_batch_norm_begin_backward(lockstep_batch_norm* layer, const void* x,
                                                       const void* dz, void* dx, lockstep_shape shape,
                                                       const lockstep_moments* saved);
LOCKSTEP_EXPORT int lockstep_batch_norm_end_backward(lockstep_batch_norm* layer);
/* Drives the exchange under way; *done says whether the end would not wait. */
LOCKSTEP_EXPORT int lockstep_batch_norm_poll(lockstep_batch_norm* layer, int* done);

/* Evaluation with the running averages. Communicates nothing and changes nothing; z may be x. */
LOCKSTEP_EXPORT int lockstep_batch_norm_infer(const lockstep_batch_norm* layer, const void* x, void* z,
                                              lockstep_shape shape);

/* The layer's type, channels, replicas on this rank, statistics groups on this rank, and name. Pointers that are NULL
 * are not filled; the name is valid until the layer's communicator changes or it ends. */
LOCKSTEP_EXPORT int lockstep_batch_norm_describe(const lockstep_batch_norm* layer, int32_t* type,
                                                 int64_t* channels, int32_t* replicas, int32_t* groups,
                                                 const char** name);
/* One of the layer's arrays, to read and write, and how many values it has. Valid until bind, or as long as the
 * layer. */
LOCKSTEP_EXPORT int lockstep_batch_norm_values(lockstep_batch_norm* layer, int which, void** values,
                                               int64_t* count);
/* Moves γ, β and the running averages, with their values, to the caller's memory (channels values each), which
 * outlives the layer. */
LOCKSTEP_EXPORT int lockstep_batch_norm_bind(lockstep_batch_norm* layer, void* gamma, void* beta,
                                             void* running_mean, void* running_var);
/* How many batches the running mean has seen; `with_variance` (may be NULL): the running variance. An error if the
 * layer has none. */
LOCKSTEP_EXPORT int lockstep_batch_norm_batches_tracked(const lockstep_batch_norm* layer, int64_t* batches,
                                                        int64_t* with_variance);
LOCKSTEP_EXPORT int lockstep_batch_norm_set_batches_tracked(lockstep_batch_norm* layer, int64_t batches,
                                                            int64_t with_variance);
LOCKSTEP_EXPORT int lockstep_batch_norm_zero_gradients(lockstep_batch_norm* layer);
/* Spreads the layer's work over the caller's threads: the same bits. NULL: the calling thread alone. Copied; what the
 * context points to outlives the layer. Not collective, and not while a pass is under way. */
LOCKSTEP_EXPORT int lockstep_batch_norm_set_executor(lockstep_batch_norm* layer,
                                                     const lockstep_executor* executor);
/* Collective over the layer's communicator, and not while a pass is under way. */
LOCKSTEP_EXPORT int lockstep_batch_norm_set_epsilon(lockstep_batch_norm* layer, double epsilon);
LOCKSTEP_EXPORT int lockstep_batch_norm_set_momentum(lockstep_batch_norm* layer, double momentum,
                                                     int cumulative);
LOCKSTEP_EXPORT int lockstep_batch_norm_set_frozen(lockstep_batch_norm* layer, int frozen);
/* Collective over the new communicator. One replica a rank, all in one statistics group, unless `replicas` and
 * `group` (as in the options; 0: default) say otherwise. */
LOCKSTEP_EXPORT int lockstep_batch_norm_change_communicator(lockstep_batch_norm* layer,
                                                            const lockstep_communicator* communicator,
                                                            int32_t replicas, int32_t group);
/* lockstep_communicator_announce_failure of the layer's communicator, whose handle the caller may have freed. */
LOCKSTEP_EXPORT int lockstep_batch_norm_announce_failure(const lockstep_batch_norm* layer, const char* why);
/* Pools the running averages of layers that are local to each rank of `among`; collective. */
LOCKSTEP_EXPORT int lockstep_batch_norm_synchronize_running_averages(lockstep_batch_norm* layer,
                                                                     const lockstep_communicator* among,
                                                                     double weight);

/* Exact population statistics in place of running averages: see norm/precise_statistics.hpp. The layer outlives it.
 * After each forward: add; at the end: finish, or finish_among for a layer that is local to each rank of `among`
 * (collective). Fewer batches with values than `least_batches` are an error that changes nothing. */
LOCKSTEP_EXPORT int lockstep_precise_statistics_create(lockstep_batch_norm* layer,
                                                       lockstep_precise_statistics** statistics);
LOCKSTEP_EXPORT void lockstep_precise_statistics_free(lockstep_precise_statistics* statistics);
LOCKSTEP_EXPORT int lockstep_precise_statistics_add(lockstep_precise_statistics* statistics);
LOCKSTEP_EXPORT int lockstep_precise_statistics_finish(lockstep_precise_statistics* statistics,
                                                       int64_t least_batches);
LOCKSTEP_EXPORT int lockstep_precise_statistics_finish_among(lockstep_precise_statistics* statistics,
                                                             const lockstep_communicator* among,
                                                             int64_t least_batches);

/* A pool of `threads` threads, the calling one among them, as an executor. It outlives the layers that use it. Layers on
 * several threads may share it: who finds it in use works alone, with the same bits. */
LOCKSTEP_EXPORT int lockstep_thread_pool_create(int32_t threads, lockstep_thread_pool** pool);
LOCKSTEP_EXPORT void lockstep_thread_pool_free(lockstep_thread_pool* pool);
LOCKSTEP_EXPORT int lockstep_thread_pool_executor(lockstep_thread_pool* pool, lockstep_executor* executor);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-*, readability-identifier-naming) */

#endif
