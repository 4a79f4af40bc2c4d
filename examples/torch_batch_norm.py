#!/usr/bin/env python3
"""Trains a small convolutional network with PyTorch's DistributedDataParallel and synchronized batch norm, on CPUs:

    mpirun -n 4 python3 examples/torch_batch_norm.py

A few samples a process are too few for statistics of its own. Synchronized, the network trains as it would in one
process with all the samples: what is printed is the same on any number of ranks that divides 12.
"""
import os

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import lockstep
import lockstep.torch

BATCH, STEPS = 12, 30


def make_network():
    torch.manual_seed(1)  # the same initial weights on every rank
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)).double()


def batch_of(step):
    """Waves in one of three directions, in noise."""
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(0, 3, (BATCH,), generator=generator)
    phase, noise = torch.rand(BATCH, generator=generator), torch.randn(BATCH, 1, 12, 12, generator=generator)
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    along = torch.stack([row, column, (row + column) / 2**0.5])[labels]
    return (torch.sin(along + 6.3 * phase[:, None, None])[:, None] + 0.3 * noise).double(), labels


def main():
    comm = lockstep.Communicator(timeout=60)
    # PyTorch's own processes are MPI's. On several nodes MASTER_ADDR is the host of rank 0.
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    torch.distributed.init_process_group("gloo", rank=comm.rank, world_size=comm.size)
    torch.set_num_threads(1)

    network = lockstep.torch.convert_sync_batchnorm(make_network(), comm)
    parallel = DistributedDataParallel(network)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1, momentum=0.9)
    for step in range(STEPS):
        x, labels = (part.tensor_split(comm.size)[comm.rank] for part in batch_of(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(parallel(x), labels).backward()
        optimizer.step()

    network.eval()  # with the running averages: communicates nothing
    with torch.no_grad():
        batches = [batch_of(step) for step in range(1000, 1020)]
        right = sum((network(x).argmax(1) == labels).sum().item() for x, labels in batches)
    if comm.rank == 0:
        print(f"{right} of {BATCH * len(batches)} right; weights of the last layer add up to {network[-1].weight.sum():.9f}")


if __name__ == "__main__":
    main()
