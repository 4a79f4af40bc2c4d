"""How a tensor lies in memory, as far as the kernels are concerned."""

import math

import torch

from .. import _prototypes as c
from ..errors import UsageError


class Layouts:
    """Remembers what shapes and strides mean, which is asked in every pass; most programs have one or two."""

    MOST = 256

    def __init__(self, channels: int, name: str):
        self._channels, self._name = channels, name
        self._known: dict = {}
        self._shapes: dict = {}

    def of(self, x: torch.Tensor) -> c.Shape | None:
        """The shape that the C interface wants: for the same extents and order the same object. None: first copy x."""
        key = (x.shape, x.stride())
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= self.MOST:
            self._known.clear()
            self._shapes.clear()
        shape = self._known[key] = self._find(x)
        return shape

    def require_same(self, x: torch.Tensor, shape: c.Shape, dtype: torch.dtype) -> None:
        """Throws if x does not lie in memory as it did in forward: `x.data = ...` goes unnoticed by autograd."""
        now = self.of(x)
        if x.dtype is dtype and (now is shape or now is not None and _numbers(now) == _numbers(shape)):
            return
        raise UsageError(f"batch norm '{self._name}': between forward and backward the input has become {x.dtype} of shape "
                         f"{tuple(x.shape)} and strides {x.stride()}")

    def _find(self, x: torch.Tensor) -> c.Shape | None:
        if x.dim() < 2:
            raise UsageError(f"batch norm '{self._name}': expected an input of at least 2 dimensions, samples and channels, "
                             f"got {x.dim()}")
        if x.shape[1] != self._channels:
            raise UsageError(f"batch norm '{self._name}': the input has {x.shape[1]} channels, shape {tuple(x.shape)}, but "
                             f"the layer {self._channels}")
        batch, spatial = x.shape[0], math.prod(x.shape[2:])
        if x.is_contiguous():
            # With one value in a sample and channel both orders are the same memory.
            order = c.CHANNELS_LAST if spatial == 1 else c.CHANNELS_FIRST
        elif x.movedim(1, -1).is_contiguous():
            order = c.CHANNELS_LAST
        else:
            return None
        return self._shapes.setdefault((batch, spatial, order), c.Shape(batch, spatial, order))


def _numbers(shape: c.Shape) -> tuple[int, int, int]:
    return shape.batch, shape.spatial, shape.channel_order
