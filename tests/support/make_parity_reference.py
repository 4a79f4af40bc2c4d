#!/usr/bin/env python3
"""Writes tests/mpi/train/parity_reference.hpp: 50 steps with each loss, activation and optimizer in PyTorch, in double.

Usage: make_parity_reference.py > tests/mpi/train/parity_reference.hpp   (made with PyTorch 1.13)

Data and initial weights follow from formulas that the test repeats, so that the fixture holds results only. Batches are
those of the sampler without shuffling: [b·N/B, (b+1)·N/B) of N samples in B batches.
"""
import functools
import os
import sys

import torch
from torch.nn import functional

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "lib", "python"))
from lockstep.torch import models
from reference_network import draw, set_parameters, weighted_sum

# No linear layer stands right before a batch norm: its bias would have gradients of rounding errors alone, and AdamW
# would make steps of them.
MODEL = "batchnorm, linear 6, {}, linear 5, tanh, batchnorm epsilon 0.01 affine false, linear 3"
SAMPLES, INPUTS, OUTPUTS, BATCHES, EPOCHS = 39, 5, 3, 5, 10

ACTIVATIONS = ("relu", "leaky-relu", "leaky-relu 0.2", "elu", "elu 0.7", "gelu", "gelu tanh", "silu", "tanh", "sigmoid",
               "softplus", "identity")
LOSSES = {
    "cross-entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber 0.5": functools.partial(functional.huber_loss, delta=0.5),
    "bce": functional.binary_cross_entropy_with_logits,
    "cross-entropy smoothing 0.1": functools.partial(functional.cross_entropy, label_smoothing=0.1),
}
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.05),
}
CLIPPED = {"mse": 1.6, "cross-entropy smoothing 0.1": 0.8}  # to which norm


def inputs():
    values = [draw(100, i) / 504.5 - 1 for i in range(SAMPLES * INPUTS)]
    return torch.tensor(values, dtype=torch.float64).reshape(SAMPLES, INPUTS)


def targets(loss):
    """Classes, labels, or values from -2 to 2."""
    if loss.startswith("cross-entropy"):
        return torch.tensor([draw(101, i) % OUTPUTS for i in range(SAMPLES)])
    values = [draw(101, i) % 2 if loss == "bce" else draw(101, i) / 252.25 - 2 for i in range(SAMPLES * OUTPUTS)]
    return torch.tensor(values, dtype=torch.float64).reshape(SAMPLES, OUTPUTS)


def train(activation, loss, optimizer, clip_norm):
    """The losses, and the trained model."""
    model = models.model_from_text(f"flatten, {MODEL.format(activation)}", (1, 1, INPUTS)).double()
    set_parameters(model)
    steps, x, y = OPTIMIZERS[optimizer](model.parameters()), inputs(), targets(loss)
    losses, clipped = [], 0
    for step in range(EPOCHS * BATCHES):
        batch = step % BATCHES
        part = slice(batch * SAMPLES // BATCHES, (batch + 1) * SAMPLES // BATCHES)
        steps.zero_grad()
        value = LOSSES[loss](model(x[part]), y[part])
        value.backward()
        if clip_norm:
            clipped += torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm).item() > clip_norm
        steps.step()
        losses.append(value.item())
    assert not clip_norm or 0 < clipped < len(losses), f"{loss}, {optimizer}: {clipped} steps are clipped"
    return losses, model


def sums(tensors):
    values = torch.cat([tensor.detach().flatten() for tensor in tensors])
    return f"{{{values.norm().item()!r}, {weighted_sum(values)!r}}}"


def show(activation, loss, optimizer, clip_norm=None):
    losses, model = train(activation, loss, optimizer, clip_norm)
    averages = [buffer for name, buffer in model.named_buffers() if "tracked" not in name]
    print(f'    {{"{MODEL.format(activation)}", "{loss}", "{optimizer}", {clip_norm or "std::nullopt"},')
    print("     {" + ", ".join(repr(value) for value in losses) + "},")
    print(f"     {sums(list(model.parameters()))}, {sums(averages)}}},")


def main():
    print("/// 50 steps with each loss, activation and optimizer in PyTorch, in double; written by")
    print("/// tests/support/make_parity_reference.py.")
    print("// clang-format off\n#pragma once\n\n#include <optional>\n#include <vector>\n\nnamespace lockstep::test {\n")
    print("/// Of the values v in the order of PyTorch: √Σ v² and Σ v·(index mod 7 + 1).")
    print("struct ParitySums {\n    double norm, weighted;\n};")
    print("/// The loss of each step, and what is left behind.")
    print("struct ParityReference {\n    const char *model, *loss, *optimizer;\n    std::optional<double> clip_norm;")
    print("    std::vector<double> losses;\n    ParitySums parameters, averages;\n};")
    print("inline const std::vector<ParityReference> parity_references{")
    for optimizer in OPTIMIZERS:
        for loss in LOSSES:
            show("tanh", loss, optimizer)
        for loss, clip_norm in CLIPPED.items():
            show("tanh", loss, optimizer, clip_norm)
        for activation in ACTIVATIONS:
            if activation != "tanh":
                show(activation, "mse", optimizer)
    print("};\n\n}  // namespace lockstep::test")


main()
