#!/usr/bin/env python3
"""Makes the files in tests/mpi/train/pytorch: what PyTorch 1.13 makes of a small network, in double.

    python3 tests/support/make_pytorch_reference.py tests/mpi/train/pytorch

initial.safetensors holds the weights that training starts from, and NAME.txt for each optimizer, one number a line:
the loss of every step, the gradients of the first step, and all parameters and running averages after the last.
Both sides make the data by the same formula (random_bytes below, random_bytes in pytorch_test.cpp). Batches are those
of the sampler without shuffling: [b·N/B, (b+1)·N/B) of N samples in B batches.
"""
import json
import pathlib
import struct
import sys

import torch

SAMPLES, PIXELS, CLASSES, GLOBAL_BATCH, EPOCHS = 43, 16, 3, 8, 9


def random_bytes(count, state):
    values = []
    for _ in range(count):
        state = (1103515245 * state + 12345) % 2**31
        values.append(state >> 16 & 255)
    return values


def make_data():
    pixels = torch.tensor(random_bytes(SAMPLES * PIXELS, 1), dtype=torch.float64).reshape(SAMPLES, PIXELS)
    labels = torch.tensor([(int(row[0]) + int(row[1])) * CLASSES // 511 for row in pixels])
    return pixels / 255, labels


def make_model():
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(PIXELS), torch.nn.Linear(PIXELS, 6), torch.nn.ReLU(),
                                torch.nn.BatchNorm1d(6), torch.nn.Linear(6, CLASSES)).double()
    with torch.no_grad():
        for layer in (model[0], model[3]):  # not the 1 and 0 that they begin with
            layer.weight += 0.3 * torch.randn(layer.weight.shape, dtype=torch.float64)
            layer.bias += 0.3 * torch.randn(layer.bias.shape, dtype=torch.float64)
            layer.running_mean += 0.2 * torch.rand(layer.running_mean.shape, dtype=torch.float64)
            layer.running_var += 0.2 * torch.rand(layer.running_var.shape, dtype=torch.float64)
    return model


def write_safetensors(path, tensors):
    types = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
    header, data = {}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": types[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def train(model, optimizer):
    """All losses, and the gradients of the first step."""
    data, labels = make_data()
    batches = -(-SAMPLES // GLOBAL_BATCH)
    losses, first_gradients = [], None
    for _ in range(EPOCHS):
        for b in range(batches):
            part = slice(b * SAMPLES // batches, (b + 1) * SAMPLES // batches)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(data[part]), labels[part])
            loss.backward()
            first_gradients = first_gradients or [p.grad.clone() for p in model.parameters()]
            optimizer.step()
            losses.append(loss.item())
    return losses, first_gradients


def write_numbers(path, losses, gradients, model):
    averages = [buffer for name, buffer in model.named_buffers() if "tracked" not in name]
    with open(path, "w", encoding="ascii") as file:
        for title, values in (("losses", losses), ("gradients", gradients), ("parameters", list(model.parameters())),
                              ("averages", averages)):
            if title != "losses":
                values = torch.cat([value.detach().flatten() for value in values]).tolist()
            file.write(f"{title} {len(values)}\n" + "".join(f"{value:.17g}\n" for value in values))


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    write_safetensors(folder / "initial.safetensors", make_model().state_dict())
    for name, make_optimizer in (
            ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
            ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05))):
        model = make_model()
        losses, gradients = train(model, make_optimizer(model.parameters()))
        write_numbers(folder / f"{name}.txt", losses, gradients, model)


if __name__ == "__main__":
    main()
