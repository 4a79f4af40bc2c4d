"""The C library's layer behind a module: of one type, on one communicator, with the options that the ranks agreed on."""

import ctypes
import struct

import torch

from .. import _prototypes as c
from .. import communicator as _communicator
from .._library import Handle, check, fail, library
from .._options import make_options
from .._threads import OneAtATime, use_threads
from ..errors import UsageError
from ._layout import Layouts

_TYPES = {torch.float32: c.FLOAT, torch.float64: c.DOUBLE}
# A BackwardSlice, written in one go.
_write_slice = struct.Struct("@QQQqqi4xQQ").pack_into
_integer_at = ctypes.c_int64.from_address


_strided = torch.strided


def require_type(x: torch.Tensor, what: str) -> None:
    """Throws unless the library knows the type of the tensor, and can reach it."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{what} is to be a torch.Tensor, not {type(x).__name__}")
    if x.dtype not in _TYPES:
        raise UsageError(f"{what} is {x.dtype}; Lockstep's batch norm computes in float32 and float64: convert it with "
                         ".float() (autocast: disable it around the layer)")
    if not x.is_cpu:
        raise UsageError(f"{what} is on {x.device}; Lockstep computes on CPUs")
    if x.layout is not _strided:
        raise UsageError(f"{what} is a tensor of layout {x.layout}; convert it with .to_dense()")


def _count(batches: torch.Tensor) -> None:
    """One more."""
    if batches.dtype is torch.int64 and batches.is_cpu:
        _integer_at(batches.data_ptr()).value += 1  # as add_, in a tenth of its time
    else:
        batches.add_(1)


class Saved:
    """What a forward saves for its backward. Goes back to where it came from when the graph that holds it ends."""

    __slots__ = ("address", "_free")

    def __init__(self, free: list):
        self.address = free.pop()
        self._free = free

    def __del__(self):
        self._free.append(self.address)


class Engine:
    """Made by the first forward in training mode, and again if the module's type, communicator or options change: both are
    collective."""

    def __init__(self, module, dtype: torch.dtype, affine: bool, tracks: bool):
        name = module.name
        self.dtype, self.channels = dtype, module.num_features
        self.process_group, self.timeout = module.process_group, module.timeout
        self.activation, self.threads = module.activation, module.threads
        self.eps, self.momentum = module.eps, module.momentum
        self.tracks = tracks
        self.affine = affine
        self._bytes = self.channels * torch.finfo(dtype).bits // 8

        self._communicator = _communicator.of(self.process_group, self.timeout)
        options = make_options(self.eps, self.momentum, self.affine, self.tracks, self.activation, name)
        self._handle = Handle("batch_norm", _TYPES[dtype], self.channels, self._communicator.address,
                              ctypes.byref(options))
        self.address = self._handle.address
        use_threads(self.address, self.threads)
        self.name = self._text()
        self.layouts = Layouts(self.channels, self.name)
        # γ, β and the running averages are copied here and back in each pass: a few hundred bytes. The module's own
        # tensors may be replaced, moved or freed at any time.
        self._places = [self._memory(self._values(which)) for which in range(4)]
        # Where the module's tensors are, as far as they have been looked at, and their memory.
        self._verified: list[int | None] = [None] * 4
        self._sources: list[memoryview | None] = [None] * 4
        self._moments: list[Handle] = []
        self._free: list[int] = []
        # Whether backward sums over the ranks, which it must do on all of them or on none. None: not agreed on yet.
        self.input_gradient: bool | None = None

        # A pass leaves Python's global lock, and the places below belong to one pass at a time.
        one_at_a_time = OneAtATime(self.name)
        self._enter, self._leave = one_at_a_time.enter, one_at_a_time.leave
        self._latest: int | None = None  # the moments of the forward whose γ and β the library has
        # The functions and places that every pass wants.
        self._forward, self._backward = library().lockstep_batch_norm_forward, library().lockstep_batch_norm_backward_slices
        self._slice = ctypes.create_string_buffer(ctypes.sizeof(c.BackwardSlice))
        self._slice_address = ctypes.addressof(self._slice)
        self._unwanted = ctypes.create_string_buffer(max(64, self._bytes))
        self._unwanted_address = ctypes.addressof(self._unwanted)
        self._batches = ctypes.c_int64()

    def _text(self) -> str:
        text = ctypes.c_char_p()
        check(library().lockstep_batch_norm_describe(self.address, None, None, None, None, ctypes.byref(text)))
        return text.value.decode()

    def _values(self, which: int) -> int:
        place = ctypes.c_void_p()
        check(library().lockstep_batch_norm_values(self.address, which, ctypes.byref(place), None))
        return place.value

    def _memory(self, address: int) -> memoryview:
        """The values of all channels there. To copy one such view into another takes a quarter of ctypes.memmove's time."""
        return memoryview((ctypes.c_char * self._bytes).from_address(address)).cast("B")

    # --- what the ranks agree on ---

    def fits(self, module, x: torch.Tensor, affine: bool, tracks: bool) -> bool:
        """Whether it is what the module wants for x, options included."""
        return module.eps == self.eps and module.momentum == self.momentum and self.serves(module, x, affine, tracks)

    def serves(self, module, x: torch.Tensor, affine: bool, tracks: bool) -> bool:
        """Whether it is what the module wants for x, or is after follow()."""
        return (getattr(x, "dtype", None) is self.dtype and x.is_cpu and x.layout is _strided
                and module.num_features == self.channels and module.process_group is self.process_group
                and module.activation == self.activation and tracks == self.tracks
                and (self.affine or not affine)
                and module.timeout == self.timeout and module.threads == self.threads)

    def follow(self, module) -> None:
        """Collective if the module's eps or momentum has been changed."""
        if module.eps != self.eps:
            check(library().lockstep_batch_norm_set_epsilon(self.address, module.eps))
            self.eps = module.eps
        if module.momentum != self.momentum:
            cumulative = module.momentum is None
            check(library().lockstep_batch_norm_set_momentum(self.address, 0.0 if cumulative else module.momentum,
                                                             cumulative))
            self.momentum = module.momentum

    def agree_on_input_gradient(self, wanted: bool) -> None:
        """Collective, once and whenever it changes: a rank that alone wants dx would wait for the others' sums in backward."""
        check(library().lockstep_communicator_check_agreement(
            self._communicator.address, f"gradient of input to '{self.name}'".encode(), b"input.requires_grad",
            b"True" if wanted else b"False"))
        self.input_gradient = wanted

    # --- passes ---

    def saved(self) -> Saved:
        if not self._free:
            self._moments.append(Handle("moments"))
            self._free.append(self._moments[-1].address)
        return Saved(self._free)

    def forward(self, x: torch.Tensor, shape: c.Shape, weight: torch.Tensor | None, bias: torch.Tensor | None,
                averages: tuple) -> tuple[torch.Tensor, Saved]:
        """z, and what backward needs. Collective. Updates the averages: running mean and variance, and their counter."""
        self._enter()
        try:
            self._latest = None
            self._take(0, weight)
            self._take(1, bias)
            if self.tracks:
                self._take(2, averages[0])
                self._take(3, averages[1])
                if self.momentum is None and averages[2] is not None:
                    self._take_batches(averages[2])
            z, saved = torch.empty_like(x), self.saved()
            self._latest = saved.address
            code = self._forward(self.address, x.data_ptr(), z.data_ptr(), shape, saved.address)
            if code:
                fail(code)
            if self.tracks:
                self._sources[2][:], self._sources[3][:] = self._places[2], self._places[3]
                # A batch that is empty on all ranks does not count.
                if averages[2] is not None and (x.numel() or self._values_in(saved)):
                    _count(averages[2])
            return z, saved
        finally:
            self._leave()

    def backward(self, x: torch.Tensor, dz: torch.Tensor, dx: torch.Tensor | None, shape: c.Shape, saved: Saved,
                 weight: torch.Tensor | None, bias: torch.Tensor | None,
                 gamma_gradient: torch.Tensor | None, beta_gradient: torch.Tensor | None) -> None:
        """Writes dx, if it is wanted, and this rank's part of dγ and dβ. Collective if dx is wanted, which it is on all ranks
        or on none."""
        self._enter()
        try:
            if saved.address != self._latest:  # the module has had others meanwhile, perhaps
                self._latest = None
                self._take(0, weight)
                self._take(1, bias)
                self._latest = saved.address
            self._require_room(0, gamma_gradient)
            self._require_room(1, beta_gradient)
            nowhere = self._unwanted_address
            _write_slice(self._slice, 0, x.data_ptr(), dz.data_ptr(),
                         0 if dx is None else dx.data_ptr() or nowhere,  # an empty tensor has no address
                         shape.batch, shape.spatial, shape.channel_order,
                         nowhere if gamma_gradient is None else gamma_gradient.data_ptr(),
                         nowhere if beta_gradient is None else beta_gradient.data_ptr())
            code = self._backward(self.address, self._slice_address, 1, saved.address)
            if code:
                fail(code)
        finally:
            self._leave()

    def _require_room(self, which: int, gradient: torch.Tensor | None) -> None:
        """A gradient is like its parameter, which need not be any more what it was in forward: `.to()`, `.data = ...`"""
        if gradient is not None and (gradient.dtype is not self.dtype or gradient.numel() != self.channels):
            self._verify(which, gradient)

    def _take(self, which: int, values: torch.Tensor | None) -> None:
        """Copies γ (0), β (1), or a running average (2, 3) from the module's tensor."""
        if values is None:
            if self._verified[which] is not None:  # it was taken away from the module: 1 or 0, as they are at first
                initial = torch.full((self.channels,), 1.0 - which, dtype=self.dtype)
                self._places[which][:] = self._memory(initial.data_ptr())
                self._verified[which] = self._sources[which] = None
            return
        address = values.data_ptr()
        # Another tensor may have got the memory of the one that was looked at.
        if (address != self._verified[which] or values.dtype is not self.dtype or values.numel() != self.channels
                or not values.is_contiguous()):
            self._verify(which, values)
        self._places[which][:] = self._sources[which]

    def _verify(self, which: int, values: torch.Tensor) -> None:
        what = ("weight", "bias", "running_mean", "running_var")[which]
        require_type(values, f"batch norm '{self.name}': {what}")
        if values.dtype is not self.dtype:
            raise UsageError(f"batch norm '{self.name}': the input is {self.dtype}, but {what} is {values.dtype}; convert one "
                             "of them (autocast: disable it around the layer), and not between forward and backward")
        if values.shape != (self.channels,) or not values.is_contiguous():
            raise UsageError(f"batch norm '{self.name}': {what} has shape {tuple(values.shape)} and strides "
                             f"{values.stride()}; it is to have {self.channels} values side by side")
        self._verified[which] = values.data_ptr()
        self._sources[which] = self._memory(self._verified[which])

    def _take_batches(self, batches: torch.Tensor) -> None:
        """Plain averages weigh a batch by how many there were, which a loaded state has changed perhaps."""
        check(library().lockstep_batch_norm_batches_tracked(self.address, ctypes.byref(self._batches), None))
        number = int(batches)
        if number != self._batches.value:
            check(library().lockstep_batch_norm_set_batches_tracked(self.address, number, number))

    def _values_in(self, saved: Saved) -> float:
        """How many values per channel all ranks had together."""
        count = ctypes.c_double()
        check(library().lockstep_moments_read(saved.address, 0, ctypes.byref(count), None, None, None))
        return count.value
