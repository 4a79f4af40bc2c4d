#!/usr/bin/python3
"""Weights of a residual CNN cross between Lockstep and PyTorch in both directions, by name and shape.

Usage: tests/peers/cnn_weights.py MNIST_FOLDER [build/lockstep]

Trains a little with lockstep and lets PyTorch evaluate the result; then lets PyTorch make weights and lockstep
evaluate them. The mean losses over the test images must agree to 1e-5. Installs nothing (python3-torch is Debian's).
"""
import gzip
import os
import re
import subprocess
import sys
import tempfile

import numpy
import torch

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "lib", "python"))
from lockstep.torch import model_from_text, read_safetensors, write_safetensors

MODEL = ("conv 6 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 9 3x3 stride 2 pad 1, batchnorm, relu, "
         "conv 9 3x3 pad 1, batchnorm }, relu, conv 7 2x3, relu, avgpool 2, flatten, linear 10")


def read_idx(path, offset):
    with gzip.open(path) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=offset)


def torch_loss(arrays, folder):
    model = model_from_text(MODEL, (28, 28, 1))
    model.load_state_dict(arrays, strict=True)
    images = read_idx(os.path.join(folder, "t10k-images-idx3-ubyte.gz"), 16).reshape(-1, 1, 28, 28)
    labels = read_idx(os.path.join(folder, "t10k-labels-idx1-ubyte.gz"), 8)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(images / numpy.float32(255)))
        return torch.nn.functional.cross_entropy(logits.double(), torch.from_numpy(labels.astype(numpy.int64))).item()


def run(program, *arguments):
    command = [os.path.join(ROOT, "tests/support/mpirun"), "-n", "2", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lockstep_loss(program, weights, data):
    output = run(program, "evaluate", *data, "--weights", weights)
    return float(re.search(r"loss\s+([0-9.e+-]+)", output).group(1))


def main():
    folder = sys.argv[1]
    program = sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, "build", "lockstep")
    data = ["--model", MODEL, "--dataset", "mnist", "--data-dir", folder]
    with tempfile.TemporaryDirectory() as scratch:
        output = os.path.join(scratch, "run")
        run(program, "train", *data, "--epochs", "1", "--train-samples", "1000", "--output", output)
        weights = os.path.join(output, "model.safetensors")
        ours = [("lockstep → PyTorch", lockstep_loss(program, weights, data),
                 torch_loss(read_safetensors(weights), folder))]

        torch.manual_seed(3)
        arrays = model_from_text(MODEL, (28, 28, 1)).state_dict()
        for name, values in arrays.items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                values.normal_()
        weights = os.path.join(scratch, "torch.safetensors")
        write_safetensors(weights, arrays)
        ours.append(("PyTorch → lockstep", lockstep_loss(program, weights, data), torch_loss(arrays, folder)))
    agree = True
    for direction, lockstep, pytorch in ours:
        print(f"{direction}: loss {lockstep:.8f} in lockstep, {pytorch:.8f} in PyTorch")
        agree = agree and abs(lockstep - pytorch) < 1e-5 * max(1, pytorch)
    sys.exit(0 if agree else "the losses differ")


main()
