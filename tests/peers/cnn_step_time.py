#!/usr/bin/python3
"""Milliseconds per training step of the CNN of configs/mnist_cnn.cfg, beside PyTorch's on the same machine.

Usage: tests/peers/cnn_step_time.py [build/lockstep [samples per replica]]

64 samples per replica, one thread per process, 1 and 2 processes; local and synchronized batch normalization.
PyTorch (Debian's python3-torch) runs DistributedDataParallel over gloo, with its own BatchNorm2d for local and a
synchronized one in Python, because its SyncBatchNorm refuses CPUs. Installs nothing. Every figure is the best of
epochs of 15 steps: the one that whatever else runs on the machine has disturbed the least.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
STEPS, EPOCHS = 15, 13  # the first epoch warms up
MODEL = ("conv 16 3x3 pad 1, batchnorm, relu, maxpool 2, conv 32 3x3 pad 1, batchnorm, relu, maxpool 2, "
         "conv 64 3x3 pad 1, batchnorm, relu, global-average-pool, flatten, linear 10")


def lockstep(program, ranks, mode, batch):
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        subprocess.run(
            [os.path.join(ROOT, "tests/support/mpirun"), "-n", str(ranks), program, "train", "--dataset", "digits",
             "--model", MODEL, "--bn", mode, "--batch-size", str(batch), "--epochs", str(EPOCHS),
             "--train-samples", str(STEPS * batch * ranks), "--test-samples", "10", "--momentum", "0.9",
             "--checkpoint-every", "1000", "--output", run],
            check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(run, "metrics.jsonl")) as lines:
            epochs = [entry for entry in map(json.loads, lines) if entry["kind"] == "epoch"]
    return min(entry["seconds"] for entry in epochs[1:]) / STEPS * 1e3


def torch_process(rank, ranks, mode, batch, channels_last, result):
    import torch
    import torch.distributed as dist

    sys.path.insert(0, os.path.join(ROOT, "lib", "python"))
    from lockstep.torch import model_from_text

    class SyncStatistics(torch.autograd.Function):
        """One all-reduce forward (sums and sums of squares) and one backward."""

        @staticmethod
        def forward(context, x, weight, bias):
            count = x.numel() // x.shape[1] * ranks
            sums = torch.stack([x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))])
            dist.all_reduce(sums)
            mean = sums[0] / count
            scale = torch.rsqrt(sums[1] / count - mean * mean + 1e-5)
            normalized = (x - mean[None, :, None, None]) * scale[None, :, None, None]
            context.save_for_backward(normalized, scale, weight)
            context.count = count
            return normalized * weight[None, :, None, None] + bias[None, :, None, None]

        @staticmethod
        def backward(context, dz):
            normalized, scale, weight = context.saved_tensors
            own = torch.stack([dz.sum((0, 2, 3)), (dz * normalized).sum((0, 2, 3))])
            sums = own.clone()
            dist.all_reduce(sums)
            sums /= context.count
            dx = (weight * scale)[None, :, None, None] * (
                dz - sums[0][None, :, None, None] - normalized * sums[1][None, :, None, None])
            return dx, own[1], own[0]

    class SyncBatchNorm(torch.nn.BatchNorm2d):
        def forward(self, x):
            return SyncStatistics.apply(x, self.weight, self.bias)

    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = model_from_text(MODEL, (28, 28, 1))
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
        dist.init_process_group("gloo", rank=rank, world_size=ranks)
        if mode == "sync":
            for i, module in enumerate(model):
                if isinstance(module, torch.nn.BatchNorm2d):
                    model[i] = SyncBatchNorm(module.num_features)
    x = torch.rand(batch, 1, 28, 28)
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if ranks > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    labels = torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    seconds = []
    for _ in range(EPOCHS):
        begin = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), labels).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begin)
    if rank == 0:
        result.put(min(seconds[1:]) / STEPS * 1e3)


def pytorch(ranks, mode, batch, channels_last):
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    processes = [context.Process(target=torch_process, args=(rank, ranks, mode, batch, channels_last, result))
                 for rank in range(ranks)]
    for process in processes:
        process.start()
    milliseconds = result.get(timeout=600)
    for process in processes:
        process.join()
    return milliseconds


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "lockstep")
    batch = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    print(f"milliseconds per step, {batch} samples per replica, one thread per process")
    print(f"{'processes':>9}  {'bn':<6} {'lockstep':>9} {'PyTorch':>9} {'channels-last':>14} {'ratio to the better':>20}")
    for ranks, mode in [(1, "local"), (2, "local"), (2, "sync")]:
        ours = lockstep(program, ranks, mode, batch)
        theirs = [pytorch(ranks, mode, batch, channels_last) for channels_last in (False, True)]
        print(f"{ranks:>9}  {mode:<6} {ours:>9.2f} {theirs[0]:>9.2f} {theirs[1]:>14.2f} {ours / min(theirs):>20.2f}",
              flush=True)


if __name__ == "__main__":
    main()
