#!/usr/bin/env python3
"""Writes tests/mpi/nn/activation_reference.hpp: activations and their gradients in PyTorch, in double.

Usage: make_activation_reference.py > tests/mpi/nn/activation_reference.hpp   (made with PyTorch 1.13)

The inputs are -6, -5.75 … 6, and some beyond softplus's threshold; the gradient of output i is 1 + i/64. The losses
are those of 50 steps of gradient descent on a small network with the activation; its data and its initial weights
follow from a formula that the test repeats.
"""
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "peers"))
import torch_model

LAYERS = ("relu", "leaky-relu", "leaky-relu 0.2", "elu", "elu 0.7", "gelu", "gelu tanh", "silu", "tanh", "sigmoid",
          "softplus", "identity")
INPUTS = [i / 4 for i in range(-24, 25)] + [-750.0, -40.0, -20.5, 19.5, 20.0, 20.5, 40.0, 750.0]


SAMPLES, INPUTS_OF_NETWORK, OUTPUTS, STEPS, RATE = 8, 5, 3, 50, 0.1


def draw(stream, count):
    """Numbers from -1 to 1, well mixed; the test has the same line."""
    return torch.tensor([((i * 31 + stream * 17 + 5) * 7919 + i * i % 127 * 11) % 1009 / 504.5 - 1 for i in range(count)],
                        dtype=torch.float64)


def losses(activation):
    text = f"linear 6, {activation}, batchnorm epsilon 0.01 affine false, linear {OUTPUTS}"
    model = torch_model.build(text, (1, 1, INPUTS_OF_NETWORK)).double()
    for stream, parameter in enumerate(model.parameters(), 1):
        with torch.no_grad():
            parameter.copy_(draw(stream, parameter.numel()).reshape(parameter.shape))
    x = draw(100, SAMPLES * INPUTS_OF_NETWORK).reshape(SAMPLES, INPUTS_OF_NETWORK)
    y = draw(101, SAMPLES * OUTPUTS).reshape(SAMPLES, OUTPUTS)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    result = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).sum() / (2 * SAMPLES)
        loss.backward()
        optimizer.step()
        result.append(loss.item())
    return torch.tensor(result, dtype=torch.float64)


def show(values):
    return "{" + ", ".join(repr(value) for value in values.tolist()) + "}"


print("/// Activations in PyTorch, in double; written by tests/support/make_activation_reference.py.")
print("// clang-format off\n#pragma once\n\n#include <vector>\n\nnamespace lockstep::test {\n")
print("/// Of every input: the output, and the gradient where that of output i is 1 + i/64; and the losses of 50 steps.")
print("struct ActivationReference {\n    const char* model;\n    std::vector<double> z, dx, losses;\n};\n")
print(f"inline const std::vector<double> activation_inputs{show(torch.tensor(INPUTS, dtype=torch.float64))};\n")
print("inline const std::vector<ActivationReference> activation_references{")
for text in LAYERS:
    layer = torch_model.make_layer(torch_model.parse(text)[0], None, 1, None)
    x = torch.tensor(INPUTS, dtype=torch.float64, requires_grad=True)
    z = layer(x)
    z.backward(1 + torch.arange(len(INPUTS), dtype=torch.float64) / 64)
    print(f'    {{"{text}",\n     {show(z.detach())},\n     {show(x.grad)},\n     {show(losses(text))}}},')
print("};\n\n}  // namespace lockstep::test")
