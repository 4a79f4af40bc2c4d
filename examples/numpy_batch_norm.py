#!/usr/bin/env python3
"""Fits y = f(x) by a batch norm and a linear readout, with NumPy and mpi4py, on any number of MPI ranks:

    mpirun -n 4 python3 examples/numpy_batch_norm.py

Each rank has its own share of the data. The features differ in scale by a factor of a million: batch norm takes care of
that, with the statistics of all ranks' values, and the result is the same on any number of ranks.
"""
import numpy as np
from mpi4py import MPI

import lockstep

SAMPLES, FEATURES, STEPS, RATE = 97, 3, 200, 0.1


def share_of_the_data(comm):
    """A contiguous part, of whatever size."""
    i = np.arange(SAMPLES * comm.rank // comm.size, SAMPLES * (comm.rank + 1) // comm.size)
    t, u, v = np.sin(0.37 * i), np.cos(1.7 * i), np.sin(2.9 * i)
    x = np.stack([1e3 + t, 1e-2 * u, 50 * v - 7], axis=1)
    return x, 2 * t - u + 0.5 * v + 0.1 * np.sin(7.3 * i)


def main():
    comm = MPI.COMM_WORLD
    norm = lockstep.SyncBatchNorm(FEATURES, comm, np.float64, name="input")
    x, y = share_of_the_data(comm)
    weights = np.zeros(FEATURES)
    sums = np.empty(1 + 3 * FEATURES)
    loss, d_weights, d_gamma, d_beta = np.split(sums, [1, 1 + FEATURES, 1 + 2 * FEATURES])  # views: one sum over ranks

    for _ in range(STEPS):
        z, saved = norm.forward(x)  # the one exchange of the forward pass

        # Loss = mean of (w·z − y)²; its gradients are sums over all samples of all ranks.
        error = z @ weights - y
        loss[:] = (error**2).sum() / SAMPLES
        d_weights[:] = 2 / SAMPLES * error @ z
        dz = 2 / SAMPLES * np.outer(error, weights)

        norm.zero_gradients()
        norm.backward(x, dz, saved)  # the one exchange of the backward pass; dx is for layers before
        d_gamma[:], d_beta[:] = norm.gamma_gradient, norm.beta_gradient
        comm.Allreduce(MPI.IN_PLACE, sums)

        weights -= RATE * d_weights
        norm.gamma[:] -= RATE * d_gamma
        norm.beta[:] -= RATE * d_beta

    norm.infer(x)  # evaluation: communicates nothing
    if comm.rank == 0:
        print(f"loss after {STEPS} steps: {loss[0]:.9f}")


if __name__ == "__main__":
    main()
