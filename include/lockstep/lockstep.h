/// The plain C interface of the batch norm layer, for C and (through iso_c_binding) Fortran programs.
///
/// It is lockstep::SyncBatchNorm behind opaque handles: norm/sync_batch_norm.hpp says what each call
/// computes, and what it needs of the other ranks. Functions return LOCKSTEP_OK or an error code;
/// lockstep_message() then says what went wrong. Nothing is printed, and nothing is ended (but a communicator
/// handle that is invalid, and that MPI cannot tell from a valid one, may make MPI end the job: one that was
/// freed, say). MPI is initialized and finalized by the caller; handles may be freed after MPI_Finalize.
///
/// Arrays (x, z, dz, dx) are of the layer's type, float or double, have batch · spatial · channels values,
/// and stay the caller's. Every handle that is created is freed by the caller; freeing NULL does nothing.
#ifndef LOCKSTEP_LOCKSTEP_H
#define LOCKSTEP_LOCKSTEP_H

/* NOLINTBEGIN(modernize-*, readability-identifier-naming): this is C. */
#include <lockstep/base/visibility.h>

#include <mpi.h>
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

/* Arrays of `channels` values that belong to a layer. */
enum {
    LOCKSTEP_GAMMA = 0,
    LOCKSTEP_BETA = 1,
    LOCKSTEP_RUNNING_MEAN = 2,
    LOCKSTEP_RUNNING_VAR = 3,
    LOCKSTEP_GAMMA_GRADIENT =
        4, /* of this rank's values, added up since lockstep_batch_norm_zero_gradients */
    LOCKSTEP_BETA_GRADIENT = 5
};

typedef struct lockstep_communicator lockstep_communicator;
typedef struct lockstep_batch_norm lockstep_batch_norm;
/* What backward needs from forward: of this layer, and in the same shape. The caller's: two forwards, with a handle each, may precede their
 * backwards. */
typedef struct lockstep_moments lockstep_moments;

typedef struct lockstep_shape {
    int64_t batch;   /* samples on this rank; may be 0 */
    int64_t spatial; /* values of a channel in one sample: 1, or height · width */
    int32_t channel_order;
} lockstep_shape;

typedef struct lockstep_batch_norm_options {
    double epsilon;                 /* 1e-5 */
    double momentum;                /* 0.1; ignored where cumulative */
    int32_t cumulative;             /* 0; otherwise running averages are plain averages */
    int32_t affine;                 /* 1; γ and β are learned */
    int32_t track_running_averages; /* 1; without them infer is an error */
    int32_t frozen;                 /* 0; forward normalizes with the running averages */
    const char* name;               /* NULL; named in errors, the same on every rank; copied */
} lockstep_batch_norm_options;

/* What the last call that failed on this thread says; valid until the next call that fails. Never NULL. */
LOCKSTEP_EXPORT const char* lockstep_message(void);

/* Duplicates `parent`; collective. Layers that share it notice each other's mistakes. */
LOCKSTEP_EXPORT int lockstep_communicator_create(MPI_Comm parent, double timeout_seconds,
                                                 lockstep_communicator** communicator);
/* The same from a Fortran handle: comm, or comm%MPI_VAL with the module mpi_f08. */
LOCKSTEP_EXPORT int lockstep_communicator_create_fortran(MPI_Fint parent, double timeout_seconds,
                                                         lockstep_communicator** communicator);
LOCKSTEP_EXPORT void lockstep_communicator_free(lockstep_communicator* communicator);

LOCKSTEP_EXPORT void lockstep_batch_norm_default_options(lockstep_batch_norm_options* options);
/* Collective over the communicator: the ranks compare type, channels and options, and all get an error that
 * names what differs. `options` may be NULL: the defaults. The communicator may be freed before the layer. */
LOCKSTEP_EXPORT int lockstep_batch_norm_create(int type, int64_t channels,
                                               const lockstep_communicator* communicator,
                                               const lockstep_batch_norm_options* options,
                                               lockstep_batch_norm** layer);
LOCKSTEP_EXPORT void lockstep_batch_norm_free(lockstep_batch_norm* layer);

LOCKSTEP_EXPORT int lockstep_moments_create(lockstep_moments** moments);
LOCKSTEP_EXPORT void lockstep_moments_free(lockstep_moments* moments);

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

/* One of the layer's arrays, to read and write, and how many values it has. Valid as long as the layer. */
LOCKSTEP_EXPORT int lockstep_batch_norm_values(lockstep_batch_norm* layer, int which, void** values,
                                               int64_t* count);
LOCKSTEP_EXPORT int lockstep_batch_norm_batches_tracked(const lockstep_batch_norm* layer, int64_t* batches);
LOCKSTEP_EXPORT int lockstep_batch_norm_set_batches_tracked(lockstep_batch_norm* layer, int64_t batches);
LOCKSTEP_EXPORT int lockstep_batch_norm_zero_gradients(lockstep_batch_norm* layer);
/* Collective, as is the change of communicator: over the new one. */
LOCKSTEP_EXPORT int lockstep_batch_norm_set_frozen(lockstep_batch_norm* layer, int frozen);
LOCKSTEP_EXPORT int lockstep_batch_norm_change_communicator(lockstep_batch_norm* layer,
                                                            const lockstep_communicator* communicator);
/* Pools the running averages of layers that are local to each rank of `among`; collective. */
LOCKSTEP_EXPORT int lockstep_batch_norm_synchronize_running_averages(lockstep_batch_norm* layer,
                                                                     const lockstep_communicator* among,
                                                                     double weight);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-*, readability-identifier-naming) */

#endif
