"""How a NumPy array lies in memory, as far as the kernels are concerned; what they cannot take is an error."""

import math

import numpy as np

from . import _prototypes as c
from .errors import UsageError


def require_array(x, what: str, dtype: np.dtype) -> None:
    """Throws unless x is an array of the layer's type, in this machine's byte order."""
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{what} is to be a numpy.ndarray, not {type(x).__name__}; numpy.asarray makes one")
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array, of which all values would count; compress or fill it")
    if x.dtype != dtype:
        raise UsageError(f"{what} is of type {x.dtype}, but the layer of {dtype}; convert it with "
                         f".astype(numpy.{dtype.name}), or make the layer with dtype=numpy.{x.dtype.name}")
    if not x.flags.aligned:
        raise UsageError(f"{what} does not lie at a multiple of its type's size in memory; copy it")


def shape_of(x: np.ndarray, channels: int, axis: int, what: str) -> c.Shape:
    """The shape that the C interface wants, of an array whose channels are along `axis`, 1 or -1.

    The array may be contiguous as it is or with its channels moved to the other end, as a transposed one is.
    """
    if x.ndim < 2:
        raise UsageError(f"{what} has {x.ndim} dimension(s), but is to have at least samples and channels")
    if x.shape[axis] != channels:
        raise UsageError(f"{what} has {x.shape[axis]} channels, shape {x.shape}, but the layer {channels}; its channels "
                         f"are dimension {axis % x.ndim}")
    if x.ndim == 2:
        if x.flags.c_contiguous:
            return c.Shape(x.shape[0], 1, c.CHANNELS_LAST)
        if x.flags.f_contiguous:  # one row of memory a channel
            return c.Shape(1, x.shape[0], c.CHANNELS_FIRST)
    else:
        first = axis == 1
        inner = x.shape[2:] if first else x.shape[1:-1]
        if x.flags.c_contiguous:
            return c.Shape(x.shape[0], math.prod(inner), c.CHANNELS_FIRST if first else c.CHANNELS_LAST)
        if np.moveaxis(x, axis, -1 if first else 1).flags.c_contiguous:
            return c.Shape(x.shape[0], math.prod(inner), c.CHANNELS_LAST if first else c.CHANNELS_FIRST)
    raise UsageError(f"{what} is not contiguous: shape {x.shape}, strides {x.strides}; numpy.ascontiguousarray copies it")


def require_alike(x: np.ndarray, other: np.ndarray, names: str) -> None:
    """Throws unless two arrays have the same shape and the same order in memory."""
    if x.shape != other.shape:
        raise UsageError(f"{names} differ in shape: {x.shape} and {other.shape}")
    if any(n > 1 and a != b for n, a, b in zip(x.shape, x.strides, other.strides)) and x.size > 0:
        raise UsageError(f"{names} lie differently in memory: strides {x.strides} and {other.strides}; copy one into an "
                         "array like the other: numpy.empty_like")


def require_apart(inputs, outs) -> None:
    """Throws if what is written for one slice is read or written for another."""
    for i, out in enumerate(outs):
        for j, others in enumerate(zip(inputs, outs)):
            if i != j and any(np.may_share_memory(out, other) for other in others):
                raise UsageError(f"out of slice {i} overlaps slice {j} in memory")


def output_for(out: np.ndarray | None, *inputs: np.ndarray) -> np.ndarray:
    """`out`, if it can take what is computed from the inputs; or a new array like them. It may be one of them."""
    if out is None:
        return np.empty_like(inputs[0])
    require_array(out, "out", inputs[0].dtype)
    require_alike(inputs[0], out, "x and out")
    if not out.flags.writeable:
        raise UsageError("out is read-only")
    for values in inputs:
        if out.ctypes.data != values.ctypes.data and np.may_share_memory(out, values):
            raise UsageError("out overlaps an input in memory without being the same")
    return out
