"""Lockstep's networks as PyTorch modules, and weights in files."""
import json
import os
import struct
import tempfile
import unittest

from support import need, run_tests

need("torch")
import torch
from torch import nn

import lockstep
from lockstep.torch import load_weights, model_from_text, read_safetensors, write_safetensors


class Models(unittest.TestCase):
    def test_an_image_network(self):
        model = model_from_text("conv 6 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 9 3x3 stride 2 pad 1, batchnorm, "
                                "relu, conv 9 3x3 pad 1, batchnorm }, relu, global-average-pool, linear 10", (28, 28, 1))
        self.assertEqual([type(module).__name__ for module in model],
                         ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Residual", "ReLU", "GlobalAveragePool", "Linear"])
        self.assertIsNone(model[0].bias, "a batch norm follows")
        self.assertIsInstance(model[4].shortcut[1], nn.BatchNorm2d)
        self.assertTrue(model.training)
        self.assertEqual(model(torch.rand(2, 1, 28, 28)).shape, (2, 10))
        self.assertIn("4.body.0.weight", model.state_dict())

    def test_a_network_for_other_inputs(self):
        model = model_from_text("batchnorm momentum cumulative affine false, linear 12, gelu tanh, dropout 0.1, linear 2", (25,))
        self.assertIsInstance(model[0], nn.BatchNorm1d)
        self.assertEqual((model[0].momentum, model[0].affine, model[3].p), (None, False, 0.1))
        self.assertEqual(model(torch.rand(3, 25)).shape, (3, 2))

    def test_a_text_that_makes_no_sense(self):
        for text, word in (("linera 3", "linera"), ("", "a layer"), ("linear 3,", "a layer"), ("residual { linear 3", "}"),
                           ("linear 3 }", "}"), ("linear x", "linear x"), ("linear", "linear"),
                           ("conv 3 3x3", "conv 3 3x3")):
            with self.assertRaises(lockstep.UsageError, msg=text) as caught:
                model_from_text(text, (3,))
            self.assertIn(word, str(caught.exception))


class Weights(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "model.safetensors")

    def test_there_and_back(self):
        model, other = (model_from_text("linear 4, batchnorm, linear 2", (3,)) for _ in range(2))
        model(torch.rand(5, 3))
        write_safetensors(self.path, model.state_dict())
        self.assertIs(load_weights(other, self.path), other)
        for name, values in model.state_dict().items():
            self.assertTrue(torch.equal(other.state_dict()[name], values), name)
            self.assertEqual(other.state_dict()[name].dtype, values.dtype)

    def test_types_and_strides(self):
        arrays = {"double": torch.rand(2, 3, dtype=torch.float64).t(), "int8": torch.arange(5, dtype=torch.int8),
                  "none": torch.empty(0, 3), "number": torch.tensor(7)}
        write_safetensors(self.path, arrays)
        read = read_safetensors(self.path)
        self.assertEqual(list(read), list(arrays))
        for name, values in arrays.items():
            self.assertTrue(torch.equal(read[name], values), name)

    def test_metadata_are_left_out(self):
        header = json.dumps({"__metadata__": {"a": "b"}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        with open(self.path, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + struct.pack("<f", 2.5))
        self.assertEqual({name: values.tolist() for name, values in read_safetensors(self.path).items()}, {"x": [2.5]})

    def test_what_does_not_fit(self):
        write_safetensors(self.path, model_from_text("linear 4", (3,)).state_dict())
        with self.assertRaisesRegex(RuntimeError, "size mismatch"):
            load_weights(model_from_text("linear 5", (3,)), self.path)

    def test_damaged_files(self):
        write_safetensors(self.path, {"x": torch.rand(100)})
        with open(self.path, "rb") as file:
            whole = file.read()
        for damaged in (b"", whole[:20], whole[:-4], b"\xff" * 100, whole.replace(b"F32", b"Q32")):
            with open(self.path, "wb") as file:
                file.write(damaged)
            with self.assertRaisesRegex(lockstep.UsageError, "model.safetensors"):
                read_safetensors(self.path)


if __name__ == "__main__":
    run_tests(verbosity=2)
