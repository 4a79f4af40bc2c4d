#!/usr/bin/env python3
"""Writes tests/mpi/train/convolution_reference.hpp: 30 steps of a small residual CNN in PyTorch, in double precision.

Usage: make_convolution_reference.py > tests/mpi/train/convolution_reference.hpp   (made with PyTorch 1.13)

Images, labels and initial weights follow from formulas that the test repeats, so that the fixture holds results only.
"""
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "lib", "python"))
from lockstep.torch import models
from reference_network import draw, set_parameters, weighted_sum

MODEL = ("conv 4 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 6 3x3 stride 2 pad 1, batchnorm, relu, "
         "conv 6 3x3 pad 1, batchnorm }, relu, conv 5 2x1, relu, avgpool 2 stride 1, flatten, linear 3")
HEIGHT, WIDTH, CHANNELS, CLASSES = 13, 12, 3, 3
SAMPLES, BATCH, EPOCHS = 40, 8, 6


def images():
    count = SAMPLES * HEIGHT * WIDTH * CHANNELS
    bytes_ = torch.tensor([draw(0, i) % 256 for i in range(count)], dtype=torch.float64)
    return (bytes_ / 255).reshape(SAMPLES, HEIGHT, WIDTH, CHANNELS).permute(0, 3, 1, 2).contiguous()


def main():
    model = models.model_from_text(MODEL, (HEIGHT, WIDTH, CHANNELS)).double()
    set_parameters(model)
    x = images()
    labels = torch.tensor([draw(100, i) % CLASSES for i in range(SAMPLES)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    losses = []
    for _ in range(EPOCHS):
        for begin in range(0, SAMPLES, BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[begin : begin + BATCH]), labels[begin : begin + BATCH])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    print("/// 30 steps of a small residual CNN in PyTorch, in double; written by make_convolution_reference.py.")
    print("// clang-format off\n#pragma once\n\n#include <vector>\n\nnamespace lockstep::test {\n")
    print(f'inline constexpr const char* convolution_model = "{MODEL}";')
    print("/// The mean loss of each step.")
    print("inline const std::vector<double> convolution_losses{")
    for loss in losses:
        print(f"    {loss!r},")
    print("};\n")
    print("/// Of each array in the order of PyTorch: Σ v and Σ v·(index mod 7 + 1), after the last step.")
    print("struct ArraySums {\n    const char* name;\n    double sum, weighted;\n};")
    print("inline const std::vector<ArraySums> convolution_arrays{")
    for name, values in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        print(f'    {{"{name}", {values.sum().item()!r}, {weighted_sum(values)!r}}},')
    print("};\n\n}  // namespace lockstep::test")


main()
