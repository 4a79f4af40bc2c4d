"""The Python of README.md and docs/python.md runs as it is written there, block after block, on all ranks."""
import os
import re
import socket
import tempfile

from support import RanksTest, main, need

need("mpi4py", "torch")
import numpy
import torch

import lockstep
import lockstep.torch

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return BLOCK.findall(file.read())


class Documents(RanksTest):
    def setUp(self):
        super().setUp()
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        os.environ["MASTER_PORT"] = str(self.free_port())
        torch.manual_seed(1)

    def free_port(self):
        """The same on every rank."""
        from mpi4py import MPI

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return MPI.COMM_WORLD.bcast(free.getsockname()[1])

    def names(self):
        """What a reader has when the text begins."""
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.BatchNorm2d(64), torch.nn.Flatten(),
                                      torch.nn.LazyLinear(2))
        network(torch.zeros(2, 3, 5, 5))
        x = numpy.random.default_rng(self.comm.rank).normal(size=(4 + self.comm.rank, 6)).astype(numpy.float32)
        return {"network": network, "channels": 6, "x": x, "dz": x, "numpy": numpy, "torch": torch, "train": self.train,
                "DistributedDataParallel": torch.nn.parallel.DistributedDataParallel}

    def train(self, network, comm):
        for _ in range(2):
            network(torch.randn(4, 3, 5, 5)).square().sum().backward()
        self.trained = comm

    def run_blocks(self, name):
        names = self.names()
        blocks = blocks_of(name)
        for block in blocks:
            if "load_weights" in block:  # of a file that `lockstep train` has written
                self.make_weights(block, names)
            exec(compile(block, f"{name}:\n{block}", "exec"), names)
        return blocks, names

    def make_weights(self, block, names):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        text, shape, path = re.search(r'model_from_text\((".*?"), (\(.*?\))\).*load_weights\(model, "(.*?)"\)', block,
                                      re.DOTALL).groups()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        os.makedirs(os.path.dirname(path))
        model = lockstep.torch.model_from_text(eval(text), eval(shape))
        lockstep.torch.write_safetensors(path, model.state_dict())

    def test_guide(self):
        blocks, names = self.run_blocks("docs/python.md")
        self.assertGreaterEqual(len(blocks), 6)
        self.assertIsInstance(names["network"], torch.nn.parallel.DistributedDataParallel)
        self.assertIsInstance(names["norm"], lockstep.torch.SyncBatchNorm)
        self.assertEqual(self.trained.size, self.comm.size)
        self.assertFalse(names["model"].training)

    def test_readme(self):
        blocks, names = self.run_blocks("README.md")
        self.assertGreaterEqual(len(blocks), 1)
        self.assertIsInstance(names["network"][1], lockstep.torch.SyncBatchNorm)
        self.train(names["network"], self.comm)


if __name__ == "__main__":
    main()
