"""The model text of Lockstep as PyTorch modules: the same layers with the same names and shapes of their arrays.

    model = model_from_text("conv 16 3x3 pad 1, batchnorm, relu, flatten, linear 10", (28, 28, 1))
    load_weights(model, "model.safetensors")

Shapes are height, width, channels, as Lockstep has them; PyTorch's tensors are [batch, channels, height, width].
"""
import re

import torch
from torch import nn

from ..errors import UsageError


class Residual(nn.Module):
    """body(x) + shortcut(x), or + x if there is no shortcut."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class GlobalAveragePool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


class Linear(nn.Linear):
    """Takes 1x1 images, too, as Lockstep's does."""

    def forward(self, x):
        return super().forward(x.flatten(1))


def parse(text: str) -> list[tuple[str, list[str], list]]:
    """[(kind, arguments, body)], as Lockstep's parser has it."""
    tokens = re.findall(r"[{},]|[^\s{},]+", text)

    def sequence():
        layers = [layer()]
        while tokens and tokens[0] == ",":
            tokens.pop(0)
            layers.append(layer())
        return layers

    def layer():
        if not tokens or tokens[0] in "{},":
            raise UsageError(f"a layer is missing {f'before {tokens[0]!r}' if tokens else 'at the end'}: {text!r}")
        kind, arguments, body = tokens.pop(0), [], []
        while tokens and tokens[0] not in "{},":
            arguments.append(tokens.pop(0))
        if tokens and tokens[0] == "{":
            tokens.pop(0)
            body = sequence()
            if not tokens or tokens.pop(0) != "}":
                raise UsageError(f"'}}' is missing after {kind!r}: {text!r}")
        return kind, arguments, body

    layers = sequence()
    if tokens:
        raise UsageError(f"nothing may stand before {tokens[0]!r}: {text!r}")
    return layers


def window(text):
    sides = [int(side) for side in text.split("x")]
    return (sides[0], sides[-1])


def settings(arguments):
    return {key: int(value) for key, value in zip(arguments[::2], arguments[1::2])}


ACTIVATIONS = {"relu": nn.ReLU, "leaky-relu": nn.LeakyReLU, "elu": nn.ELU, "silu": nn.SiLU, "tanh": nn.Tanh,
               "sigmoid": nn.Sigmoid, "softplus": nn.Softplus, "identity": nn.Identity}


def make_layer(layer, follower, channels, extent):
    """Returns the module; `extent` is (height, width) or None for dense samples."""
    kind, arguments, body = layer
    if kind == "conv":
        more = settings(arguments[2:])
        return nn.Conv2d(channels, int(arguments[0]), window(arguments[1]), more.get("stride", 1),
                         more.get("pad", 0), bias=follower != "batchnorm")
    if kind in ("maxpool", "avgpool"):
        more = settings(arguments[1:])
        size = window(arguments[0])
        pool = nn.MaxPool2d if kind == "maxpool" else nn.AvgPool2d
        return pool(size, more.get("stride", size[0]), more.get("pad", 0))
    if kind == "batchnorm":
        own = dict(zip(arguments[::2], arguments[1::2]))
        momentum = own.get("momentum", "0.1")
        return (nn.BatchNorm2d if extent else nn.BatchNorm1d)(
            channels, float(own.get("epsilon", 1e-5)), None if momentum == "cumulative" else float(momentum),
            own.get("affine") != "false")
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind](*(float(argument) for argument in arguments))
    if kind == "gelu":
        return nn.GELU(approximate=arguments[0] if arguments else "none")
    if kind == "residual":
        inner, out_channels, out_extent = make_sequence(body, channels, extent)
        if (out_channels, out_extent) == (channels, extent):
            return Residual(inner)
        stride = 1
        while (extent[0] - 1) // stride + 1 > out_extent[0]:
            stride += 1
        shortcut = nn.Sequential(nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
        return Residual(inner, shortcut)
    if kind == "linear":
        return Linear(channels, int(arguments[0]))
    if kind == "dropout":
        return nn.Dropout(float(arguments[0]))
    if kind == "flatten":
        return nn.Flatten()
    if kind == "global-average-pool":
        return GlobalAveragePool()
    raise UsageError(f"unknown layer {kind!r}")


def make_sequence(layers, channels, extent):
    modules = []
    for i, layer in enumerate(layers):
        follower = layers[i + 1][0] if i + 1 < len(layers) else None
        try:
            module = make_layer(layer, follower, channels, extent).double().eval()
            with torch.no_grad():  # what it gives, by trying
                shape = module(torch.zeros((1, channels) + (extent or ()), dtype=torch.float64)).shape
        except UsageError:
            raise
        except (ValueError, IndexError, TypeError, RuntimeError) as error:
            raise UsageError(f"the layer '{' '.join([layer[0], *layer[1]])}' makes no sense here: {error}") from error
        channels, extent = shape[1], tuple(shape[2:]) or None
        modules.append(module)
    return nn.Sequential(*modules), channels, extent


def model_from_text(text: str, shape: tuple[int, ...]) -> nn.Sequential:
    """The modules, in float and in training mode, with PyTorch's own initial weights.

    `shape` is (height, width, channels), or (values,) for inputs that are no images.
    """
    *extent, channels = shape
    return make_sequence(parse(text), channels, tuple(extent) or None)[0].float().train()
