#!/usr/bin/env python3
"""Writes tests/unit/train/optimizer_reference.hpp: what torch.optim does in double precision.

Usage: make_optimizer_reference.py > tests/unit/train/optimizer_reference.hpp   (made with PyTorch 1.13)

The loss is sum_i c_i (p_i - a_i)^2 / 2, so the gradient c_i (p_i - a_i) follows the parameters, as in training,
and a test can compute it by itself. The learning rate changes from step to step: 0.05 / (1 + t/4), t = 0 ... 9.
"""
import torch

START = [0.5, -1.25, 2.0, 0.75, -0.375, 1.5, -2.5]
CURVATURE = [1.0, 0.25, 3.0, 0.5, 2.0, 0.125, 1.5]
MINIMUM = [1.0, 1.0, -0.5, 2.0, 0.25, -1.0, 0.0]
WEIGHTS = [(0, 3), (5, 6)]  # the ranges that decay in the cases with decay "weights"
STEPS = 10

CASES = [
    # name, kind, momentum, nesterov, weight decay, decays weights only
    ("sgd", "sgd", 0.0, False, 0.0, False),
    ("sgd_decay", "sgd", 0.0, False, 0.1, False),
    ("momentum", "sgd", 0.9, False, 0.0, False),
    ("momentum_decay", "sgd", 0.9, False, 0.1, False),
    ("momentum_decay_weights", "sgd", 0.9, False, 0.1, True),
    ("nesterov", "sgd", 0.9, True, 0.0, False),
    ("nesterov_decay", "sgd", 0.9, True, 0.1, False),
    ("adamw", "adamw", 0.0, False, 0.0, False),
    ("adamw_decay", "adamw", 0.0, False, 0.1, False),
    ("adamw_decay_weights", "adamw", 0.0, False, 0.1, True),
]


def run(kind, momentum, nesterov, weight_decay, weights_only):
    parameters = [torch.tensor([value], dtype=torch.float64) for value in START]
    decays = [not weights_only or any(b <= i < e for b, e in WEIGHTS) for i in range(len(START))]
    groups = [
        {"params": [p for p, d in zip(parameters, decays) if d], "weight_decay": weight_decay},
        {"params": [p for p, d in zip(parameters, decays) if not d], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if kind == "sgd":
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=nesterov)
    else:
        optimizer = torch.optim.AdamW(groups, lr=1.0)
    for step in range(STEPS):
        for p, c, a in zip(parameters, CURVATURE, MINIMUM):
            p.grad = c * (p - a)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (1 + step / 4)
        optimizer.step()
    return [p.item() for p in parameters]


def braces(values):
    return "{" + ", ".join(repr(value) for value in values) + "}"


print("/// Ten steps of torch.optim in double precision; written by tests/support/make_optimizer_reference.py.")
print("// clang-format off")
print("#pragma once\n")
print("#include <array>\n")
print("namespace lockstep::test {\n")
print(f"using ReferenceParameters = std::array<double, {len(START)}>;\n")
for name, values in [("start", START), ("curvature", CURVATURE), ("minimum", MINIMUM)]:
    print(f"inline constexpr ReferenceParameters reference_{name} = {braces(values)};")
print(f"inline constexpr int reference_steps = {STEPS};\n")
print("struct OptimizerReference {\n    const char* name;\n    const char* kind;\n    double momentum;\n"
      "    bool nesterov;\n    double weight_decay;\n    const char* decay;\n    ReferenceParameters result;\n};\n")
print(f"inline constexpr std::array<OptimizerReference, {len(CASES)}> optimizer_references{{{{")
for name, kind, momentum, nesterov, weight_decay, weights_only in CASES:
    result = run(kind, momentum, nesterov, weight_decay, weights_only)
    decay = "weights" if weights_only else "all"
    print(f'    {{"{name}", "{kind}", {momentum}, {str(nesterov).lower()}, {weight_decay}, "{decay}",')
    print(f"     {braces(result)}}},")
print("}};\n")
print("}  // namespace lockstep::test")
