"""Weights that Lockstep writes load in PyTorch by name and shape and give the same outputs, and the other way round.

Skipped where no Python with PyTorch is found (LOCKSTEP_TORCH_PYTHON may name one).
"""
import os
import subprocess
import sys
import unittest

from launcher import LauncherTest, read_metrics, read_safetensors, write_idx_data, write_safetensors

try:
    import torch
except ImportError:
    torch = None

MODEL = "batchnorm, linear 12, relu, batchnorm, dropout 0.1, linear 10"


def make_model():
    return torch.nn.Sequential(torch.nn.BatchNorm1d(25), torch.nn.Linear(25, 12), torch.nn.ReLU(),
                               torch.nn.BatchNorm1d(12), torch.nn.Dropout(0.1), torch.nn.Linear(12, 10))


def state_of(path):
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    return {name: torch.frombuffer(bytearray(values), dtype=types[kind]).reshape(shape)
            for name, (kind, shape, values) in read_safetensors(path).items()}


class PyTorch(LauncherTest):
    def setUp(self):
        super().setUp()
        write_idx_data(self.folder / "data")
        pixels = (self.folder / "data" / "t10k-images-idx3-ubyte").read_bytes()[16:]
        labels = (self.folder / "data" / "t10k-labels-idx1-ubyte").read_bytes()[8:]
        self.images = torch.tensor(list(pixels), dtype=torch.float32).reshape(-1, 25) / 255
        self.labels = torch.tensor(list(labels))
        self.options = ["--dataset", "mnist", "--data-dir", "data", "--model", MODEL]

    def loss_and_accuracy(self, model):
        model.eval()
        with torch.no_grad():
            logits = model(self.images)
        correct = (logits.argmax(1) == self.labels).double().mean().item()
        return torch.nn.functional.cross_entropy(logits.double(), self.labels).item(), correct

    def test_loads_what_lockstep_writes(self):
        self.succeed(2, "train", *self.options, "--batch-size", "8", "--epochs", "3", "--output", "run")
        model = make_model()
        model.load_state_dict(state_of(self.folder / "run" / "model.safetensors"), strict=True)
        self.assertEqual(model[0].num_batches_tracked.item(), 3 * 4)
        loss, accuracy = self.loss_and_accuracy(model)
        epoch = read_metrics(self.folder / "run" / "metrics.jsonl")[-1]
        self.assertAlmostEqual(epoch["test_loss"] / loss, 1, delta=1e-5)
        self.assertEqual(epoch["test_accuracy"], accuracy)

    def test_writes_what_lockstep_loads(self):
        torch.manual_seed(2)
        model = make_model()
        model(self.images)  # running averages that are not the initial ones
        kinds = {torch.float32: "F32", torch.int64: "I64"}
        write_safetensors(self.folder / "torch.safetensors",
                          {name: (kinds[tensor.dtype], list(tensor.shape), tensor.numpy().tobytes())
                           for name, tensor in model.state_dict().items()})
        loss, accuracy = self.loss_and_accuracy(model)
        result = self.succeed(2, "evaluate", *self.options, "--weights", "torch.safetensors")
        printed = dict(line.split(None, 1) for line in result.lines if line.startswith("  ") and len(line.split()) > 1)
        self.assertAlmostEqual(float(printed["loss"]), loss, delta=2e-6)
        self.assertEqual(printed["accuracy"], f"{100 * accuracy:.2f} %")


def python_with_torch():
    for python in filter(None, (os.environ.get("LOCKSTEP_TORCH_PYTHON"), "/usr/bin/python3")):
        if subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return python
    return None


if __name__ == "__main__":
    if torch:
        unittest.main(verbosity=2)
    other = python_with_torch()
    if other:
        os.execv(other, [other, *sys.argv])
    print("skipped: no Python with PyTorch; on Debian it is the package python3-torch")
    sys.exit(77)
