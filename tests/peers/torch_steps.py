"""A rank of PyTorch data-parallel training over gloo: prints the median microseconds of a step, and peak memory.

    torch_steps.py RANK RANKS PORT mlp|cnn local|sync
"""
import os
import resource
import statistics
import sys
import time

import torch
import torch.distributed as dist
from torch import nn


class SumOverRanks(torch.autograd.Function):
    """all_reduce in forward and in backward."""

    @staticmethod
    def forward(_, values):
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(_, gradient):
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


class SyncBatchNorm(nn.Module):
    """What a PyTorch user writes by hand, since torch.nn.SyncBatchNorm is for GPUs only."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        axes = [0] + list(range(2, x.dim()))
        shape = [1, -1] + [1] * (x.dim() - 2)
        moments = torch.cat([x.mean(axes), (x * x).mean(axes)])
        mean, square = SumOverRanks.apply(moments).div(dist.get_world_size()).chunk(2)
        variance = square - mean * mean
        with torch.no_grad():
            self.running_mean.lerp_(mean, 0.1)
            self.running_var.lerp_(variance, 0.1)
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        return x * scale.view(shape) + (self.bias - mean * scale).view(shape)


def network(kind, norms):
    norm1, norm2 = norms
    if kind == "mlp":
        return nn.Sequential(norm1(784), nn.Linear(784, 300), nn.ReLU(), norm1(300), nn.Linear(300, 100), nn.ReLU(),
                             norm1(100), nn.Linear(100, 10))
    blocks, channels = [], 1
    for width in (16, 32, 64):
        blocks += [nn.Conv2d(channels, width, 3, padding=1), norm2(width), nn.ReLU()]
        blocks += [nn.MaxPool2d(2)] if width < 64 else [nn.AdaptiveAvgPool2d(1)]
        channels = width
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64, 10))


def main():
    rank, ranks, port, kind, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
    torch.set_num_threads(1)
    torch.manual_seed(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    norms = (SyncBatchNorm, SyncBatchNorm) if mode == "sync" else (nn.BatchNorm1d, nn.BatchNorm2d)
    model = network(kind, norms)
    if ranks > 1:
        model = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loss = nn.CrossEntropyLoss()
    x = torch.rand(64, 784) if kind == "mlp" else torch.rand(64, 1, 28, 28)
    labels = torch.randint(0, 10, (64,))

    def step():
        optimizer.zero_grad()
        loss(model(x), labels).backward()
        optimizer.step()

    for _ in range(5):
        step()
    turns = []
    for _ in range(15):
        dist.barrier()
        start = time.perf_counter()
        for _ in range(10):
            step()
        turns.append((time.perf_counter() - start) / 10 * 1e6)
    if rank == 0:
        print(statistics.median(turns), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
