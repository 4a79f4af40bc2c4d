#!/usr/bin/env python3
"""Writes tests/mpi/nn/activation_reference.hpp: activations and their gradients in PyTorch, in double.

Usage: make_activation_reference.py > tests/mpi/nn/activation_reference.hpp   (made with PyTorch 1.13)

The inputs are -6, -5.75 … 6, and some beyond softplus's threshold; the gradient of output i is 1 + i/64.
"""
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "lib", "python"))
from lockstep.torch import models

LAYERS = ("relu", "leaky-relu", "leaky-relu 0.2", "elu", "elu 0.7", "gelu", "gelu tanh", "silu", "tanh", "sigmoid",
          "softplus", "identity")
INPUTS = [i / 4 for i in range(-24, 25)] + [-750.0, -40.0, -20.5, 19.5, 20.0, 20.5, 40.0, 750.0]


def show(values):
    return "{" + ", ".join(repr(value) for value in values.tolist()) + "}"


print("/// Activations in PyTorch, in double; written by tests/support/make_activation_reference.py.")
print("// clang-format off\n#pragma once\n\n#include <vector>\n\nnamespace lockstep::test {\n")
print("/// Of every input: the output, and the gradient where that of output i is 1 + i/64.")
print("struct ActivationReference {\n    const char* model;\n    std::vector<double> z, dx;\n};\n")
print(f"inline const std::vector<double> activation_inputs{show(torch.tensor(INPUTS, dtype=torch.float64))};\n")
print("inline const std::vector<ActivationReference> activation_references{")
for text in LAYERS:
    layer = models.make_layer(models.parse(text)[0], None, 1, None)
    x = torch.tensor(INPUTS, dtype=torch.float64, requires_grad=True)
    z = layer(x)
    z.backward(1 + torch.arange(len(INPUTS), dtype=torch.float64) / 64)
    print(f'    {{"{text}",\n     {show(z.detach())},\n     {show(x.grad)}}},')
print("};\n\n}  // namespace lockstep::test")
