"""The options of a layer, as the C interface wants them."""

import ctypes

from . import _prototypes as c
from ._library import check, library
from .errors import UsageError


def make_options(eps: float, momentum: float | None, affine: bool, track_running_stats: bool, activation: str | None,
                 name: str | None, frozen: bool = False, replicas: int | None = None, group: int | None = None) -> c.Options:
    if activation not in c.ACTIVATIONS:
        raise UsageError(f"unknown activation {activation!r}; choose one of {', '.join(map(repr, c.ACTIVATIONS))}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is to be a str, not {type(name).__name__}")
    for what, number in (("replicas", replicas), ("group", group)):
        if number is not None and number < 1:
            raise UsageError(f"{what} is to be a number from 1 on, or None, not {number}")
    options = c.Options()
    check(library().lockstep_batch_norm_default_options(ctypes.byref(options), ctypes.sizeof(options)))
    options.epsilon = eps
    options.cumulative = momentum is None
    if momentum is not None:
        options.momentum = momentum
    options.affine, options.track_running_averages, options.frozen = affine, track_running_stats, frozen
    options.activation = c.ACTIVATIONS[activation]
    options.replicas, options.group = replicas or 0, group or 0
    if name:
        options.name = name.encode()
    return options
