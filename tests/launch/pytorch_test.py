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

KINDS = {torch.float32: "F32", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
         torch.uint8: "U8"} if torch else {}


def make_model(**batch_norm):
    return torch.nn.Sequential(torch.nn.BatchNorm1d(25, **batch_norm), torch.nn.Linear(25, 12), torch.nn.ReLU(),
                               torch.nn.BatchNorm1d(12, **batch_norm), torch.nn.Dropout(0.1), torch.nn.Linear(12, 10))


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

    def expect_same(self, model, state, *texts):
        """Lockstep computes from the state what PyTorch does with the model."""
        write_safetensors(self.folder / "torch.safetensors",
                          {name: (KINDS[tensor.dtype], list(tensor.shape), tensor.numpy().tobytes())
                           for name, tensor in state.items()})
        loss, accuracy = self.loss_and_accuracy(model)
        result = self.succeed(2, "evaluate", *self.options, "--weights", "torch.safetensors")
        printed = dict(line.split(None, 1) for line in result.lines if line.startswith("  ") and len(line.split()) > 1)
        self.assertAlmostEqual(float(printed["loss"]), loss, delta=2e-6)
        self.assertEqual(printed["accuracy"], f"{100 * accuracy:.2f} %")
        for text in texts:
            self.assertIn(text, result.out)
        # The first epoch of a training starts from the same place.
        self.succeed(2, "train", *self.options, "--epochs", "1", "--init-from", "torch.safetensors")

    def trained(self, **batch_norm):
        torch.manual_seed(2)
        model = make_model(**batch_norm)
        model(self.images)  # running averages that are not the initial ones
        return model

    def test_writes_what_lockstep_loads(self):
        model = self.trained()
        self.expect_same(model, model.state_dict())

    def test_counters_that_are_missing_or_of_other_types_and_shapes(self):
        model = self.trained()
        state = model.state_dict()
        counters = [name for name in state if name.endswith("num_batches_tracked")]
        self.assertEqual(len(counters), 2)
        self.expect_same(model, {name: tensor for name, tensor in state.items() if name not in counters}, *counters)
        for kind in (torch.int32, torch.uint8, torch.int16):
            self.expect_same(model, state | {name: state[name].to(kind) for name in counters})
        self.expect_same(model, state | {name: state[name].reshape(1) for name in counters})

    def test_batch_norms_that_learn_nothing(self):
        model = self.trained(affine=False)
        self.assertNotIn("0.weight", model.state_dict())
        self.expect_same(model, model.state_dict(), "0.weight, 0.bias, 3.weight, 3.bias")

    def test_the_names_of_data_parallel(self):
        model = self.trained()
        state = torch.nn.DataParallel(model).state_dict()
        self.assertTrue(all(name.startswith("module.") for name in state))
        self.expect_same(model, state, "'module.'")


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
