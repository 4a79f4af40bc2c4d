#!/usr/bin/python3
"""Forward and backward of batch norm in PyTorch on the ranks of mpirun: ours, one written by hand over gloo, and PyTorch's
own, which synchronizes nothing. In turns, medians, one thread a process.

    PYTHONPATH=build/python mpirun -n 2 python3 tests/peers/python_layer.py [--turns 15] [--shapes 64x300,...]

Then what calling costs: a shape of 32 values on one rank, beside the calls of the C interface alone, and an
autograd.Function that does nothing.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch
import torch.distributed as dist

import lockstep
import lockstep.torch
import torch_steps

GOAL_GLOO, GOAL_LOCAL, GOAL_OVERHEAD_US = 0.3, 1.1, 15
SHAPES = ("64x300", "256x1024", "1024x4096", "32x64x56x56", "32x256x14x14", "128x16x32x32", "128x17x31x31")


class HandWritten(torch_steps.SyncBatchNorm):
    """Without gradients to synchronize: the layer alone."""


def cases(shapes):
    """(label, x, dz) with channels first and last."""
    for text in shapes:
        extents = [int(extent) for extent in text.split("x")]
        forms = (("dense", torch.contiguous_format),) if len(extents) == 2 else (
            ("last", torch.channels_last), ("first", torch.contiguous_format))
        for form, memory_format in forms:
            x, dz = (torch.randn(extents).contiguous(memory_format=memory_format) for _ in range(2))
            yield f"{text:>14} {form:>6}", x.requires_grad_(), dz


def step_of(layer, x, dz):
    parameters = [x, layer.weight, layer.bias]

    def step():
        torch.autograd.grad(layer(x), parameters, dz)

    return step


def seconds_of(step, count):
    dist.barrier()
    begin = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - begin) / count


def layers_for(x):
    channels = x.shape[1]
    local = torch.nn.BatchNorm1d if x.dim() == 2 else torch.nn.BatchNorm2d
    return lockstep.torch.SyncBatchNorm(channels), HandWritten(channels), local(channels)


def require_same(layers, x, dz):
    """Figures of layers that compute something else would be worth nothing: z, dx and the running averages."""
    ours, gloo, local = ((z := layer(x), *torch.autograd.grad(z, x, dz), layer.running_mean, layer.running_var)
                         for layer in layers)
    for mine, other in zip(ours[:3], gloo[:3]):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours[3], gloo[3], rtol=1e-2, atol=1e-3)  # which has the biased variance
    if dist.get_world_size() > 1 and torch.allclose(ours[0], local[0], rtol=1e-6, atol=1e-7):
        raise AssertionError("nothing is synchronized")


def compare(turns, shapes):
    """Prints a line for each shape; the worst ratios."""
    comm = lockstep.world()
    if comm.rank == 0:
        print(f"{'shape':>14} {'layout':>6} {'ours us':>9} {'gloo us':>9} {'local us':>9} {'to gloo':>8} {'to local':>8}")
    worst = [0.0, 0.0]
    for label, x, dz in cases(shapes):
        require_same(layers_for(x), x, dz)
        steps = [step_of(layer, x, dz) for layer in layers_for(x)]
        once = torch.tensor([min(seconds_of(step, 2) for _ in range(3)) for step in steps])
        dist.all_reduce(once, dist.ReduceOp.MAX)  # the same number of repetitions on every rank
        counts = [max(1, int(20e-3 / seconds)) for seconds in once.tolist()]
        runs = [[seconds_of(step, count) for step, count in zip(steps, counts)] for _ in range(turns)]
        ours, gloo, local = (statistics.median(column) * 1e6 for column in zip(*runs))
        if comm.rank == 0:
            print(f"{label} {ours:9.1f} {gloo:9.1f} {local:9.1f} {ours / gloo:8.3f} {ours / local:8.2f}", flush=True)
        worst = [max(worst[0], ours / gloo), max(worst[1], ours / local)]
    return worst


class Nothing(torch.autograd.Function):
    """What PyTorch itself costs."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, dz):
        return tuple(torch.empty_like(values) for values in ctx.saved_tensors)


class NothingLayer(torch.nn.BatchNorm1d):
    def forward(self, x):
        return Nothing.apply(x, self.weight, self.bias)


def best_us(step, turns=50, count=200):
    """The turn that whatever else runs on the machine has disturbed the least."""
    for _ in range(count):
        step()
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        for _ in range(count):
            step()
        times.append((time.perf_counter() - begin) / count)
    return min(times) * 1e6


def overhead():
    """Microseconds of a pass that are the adapter's, PyTorch's own dispatch included."""
    x, dz = torch.randn(4, 8).requires_grad_(), torch.randn(4, 8)
    layer = lockstep.torch.SyncBatchNorm(8, process_group=lockstep.Communicator.self())
    rows = [(name, best_us(step_of(module, x, dz))) for name, module in
            (("ours", layer), ("PyTorch's local", torch.nn.BatchNorm1d(8)), ("a Function that does nothing", NothingLayer(8)))]

    engine, values = layer._engine, x.detach()
    shape, saved, z, dx = engine.layouts.of(values), engine.saved(), torch.empty_like(values), torch.empty_like(values)
    addresses = values.data_ptr(), z.data_ptr()
    library_forward, library_backward = engine._forward, engine._backward

    def c_interface():
        library_forward(engine.address, *addresses, shape, saved.address)
        library_backward(engine.address, engine._slice_address, 1, saved.address)

    engine.backward(values, dz, dx, shape, saved, layer.weight, layer.bias, None, None)
    alone = best_us(c_interface)
    print(f"{'32 values, forward + backward':>30} {'us':>7} {'a pass above the C calls':>25}")
    for name, us in (*rows, ("the C calls alone", alone)):
        print(f"{name:>30} {us:7.1f} {(us - alone) / 2:25.1f}")
    return (rows[0][1] - alone) / 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    comm = lockstep.world()
    job = os.environ.get("OMPI_MCA_ess_base_jobid", os.environ.get("PMIX_NAMESPACE", str(os.getppid())))
    meeting = os.path.join(tempfile.gettempdir(), f"lockstep-peers-{job}")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=comm.rank, world_size=comm.size)
    torch.manual_seed(comm.rank)
    to_gloo, to_local = compare(arguments.turns, arguments.shapes.split(","))
    dist.barrier()
    if comm.rank == 0:
        us = overhead()
        print(f"worst: {to_gloo:.3f} of gloo (goal {GOAL_GLOO}), {to_local:.2f} of local (goal {GOAL_LOCAL}), "
              f"{us:.1f} us a pass (goal {GOAL_OVERHEAD_US})")
    dist.barrier()


if __name__ == "__main__":
    main()
