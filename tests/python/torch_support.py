"""What the tests of the PyTorch layer share."""
from support import RanksTest, need

need("torch")
import torch

torch.set_num_threads(1)

BY_DIMENSIONS = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}


def channels_last(x):
    """The same values with the channels last in memory."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def draw(shape, seed, dtype=torch.float64):
    """Different channels have different means and deviations."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    by_channel = (1, shape[1], *[1] * (len(shape) - 2))
    x = x * (0.5 + torch.rand(by_channel, generator=generator, dtype=torch.float64))
    return (x + torch.randn(by_channel, generator=generator, dtype=torch.float64)).to(dtype)


class TorchTest(RanksTest):
    def close(self, actual, expected, tolerance, what=""):
        super().close(actual.detach(), expected.detach(), tolerance, what)

    def same(self, actual, expected, what=""):
        self.assertEqual(actual.shape, expected.shape, what)
        self.assertTrue(torch.equal(actual, expected), what)


def start_gloo(comm):
    """torch.distributed over gloo, with the ranks of MPI; skips the program if PyTorch has been built without."""
    import os
    import sys
    import tempfile

    import torch.distributed as dist

    if not (dist.is_available() and dist.is_gloo_available() if hasattr(dist, "is_gloo_available") else dist.is_available()):
        print("skipped: PyTorch has no gloo")
        sys.exit(77)
    if not dist.is_initialized():
        meeting = os.path.join(tempfile.gettempdir(), f"lockstep-gloo-{os.environ['LOCKSTEP_MPIRUN_JOB']}")
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=comm.rank, world_size=comm.size)
    return dist
