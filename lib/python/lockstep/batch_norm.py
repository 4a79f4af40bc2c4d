"""Synchronized batch normalization of NumPy arrays."""

import ctypes
import operator

import numpy as np

from . import _prototypes as c
from . import communicator as _communicator
from ._arrays import output_for, require_alike, require_apart, require_array, shape_of
from ._library import Handle, check, fail, library
from ._moments import Moments
from ._options import make_options
from ._threads import OneAtATime, use_threads
from ._views import view
from .errors import UsageError

_TYPES = {np.dtype(np.float32): c.FLOAT, np.dtype(np.float64): c.DOUBLE}


class SyncBatchNorm:
    """Batch normalization over the values of all ranks of a communicator (one of ours, of mpi4py's, or None: the world).

    Collective: the ranks compare the options, and all get an error that names what differs. All ranks make the same
    calls in the same order; a batch may be empty on any of them.

    Arrays are (samples, channels, ...), with channels_last=True (samples, ..., channels): contiguous, or contiguous with
    the channels at the other end, as what a transpose has left. Nothing is copied; what cannot be taken is an error.

    momentum=None keeps plain averages in place of moving ones. activation='relu' gives max(0, z) in the same pass.
    `replicas` logical workers (one on each rank) share their statistics, or each `group` neighbours of them do.
    `threads` spreads the work over so many threads, with the same bits.
    """

    def __init__(self, channels: int, comm=None, dtype=np.float32, *, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = True, track_running_stats: bool = True, activation: str | None = None,
                 frozen: bool = False, channels_last: bool = False, replicas: int | None = None,
                 group: int | None = None, name: str | None = None, threads: int | None = None):
        self.channels, self.dtype, self.activation = operator.index(channels), np.dtype(dtype), activation
        if self.dtype not in _TYPES:
            raise UsageError(f"a layer is of float32 or float64, not of {self.dtype}")
        self.affine, self.track_running_stats, self.channels_last = affine, track_running_stats, channels_last
        self._axis = -1 if channels_last else 1
        self._eps, self._momentum, self._frozen = eps, momentum, frozen
        options = make_options(eps, momentum, affine, track_running_stats, activation, name, frozen, replicas, group)
        self._communicator = _communicator.of(comm)
        self._handle = Handle("batch_norm", _TYPES[self.dtype], self.channels, self._communicator.address,
                              ctypes.byref(options))
        self._address = self._handle.address
        self._under_way = None  # what a pass in two halves works on
        self._one_at_a_time = OneAtATime(self.name)
        use_threads(self._address, threads)
        for which, attribute in enumerate(("gamma", "beta", "running_mean", "running_var", "gamma_gradient",
                                           "beta_gradient")):
            setattr(self, attribute, self._values(which))

    def _call(self, function: str, *arguments) -> None:
        """Of the library's, which changes the layer."""
        with self._one_at_a_time:
            check(getattr(library(), "lockstep_batch_norm_" + function)(self._address, *arguments))

    def _values(self, which: int) -> np.ndarray:
        place, count = ctypes.c_void_p(), ctypes.c_int64()
        check(library().lockstep_batch_norm_values(self._address, which, ctypes.byref(place), ctypes.byref(count)))
        return view(self._handle, place.value, count.value, self.dtype)

    # --- what it is ---

    @property
    def communicator(self) -> "_communicator.Communicator":
        return self._communicator

    @property
    def name(self) -> str:
        """As errors call it."""
        text = ctypes.c_char_p()
        check(library().lockstep_batch_norm_describe(self._address, None, None, None, None, ctypes.byref(text)))
        return text.value.decode()

    @property
    def hosted_replicas(self) -> int:
        """How many replicas this rank has: as many slices does a pass want."""
        number = ctypes.c_int32()
        check(library().lockstep_batch_norm_describe(self._address, None, None, ctypes.byref(number), None, None))
        return number.value

    def __repr__(self) -> str:
        return (f"<lockstep.SyncBatchNorm '{self.name}': {self.channels} channels, {self.dtype}, on rank "
                f"{self._communicator.rank} of {self._communicator.size}>")

    # --- training ---

    def forward(self, x: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, Moments]:
        """z, and what backward needs. Collective; updates the running averages. `out`, which may be x, takes z."""
        shape = self._shape(x, "x")
        z, saved = output_for(out, x), Moments()
        self._call("forward", x.ctypes.data, z.ctypes.data, shape, saved.address)
        return z, saved

    def backward(self, x: np.ndarray, dz: np.ndarray, saved: Moments, out: np.ndarray | None = None) -> np.ndarray:
        """dx, from x as it was in forward. Collective. `out`, which may be x or dz, takes dx.

        What this rank's values give to the derivatives of γ and β is added to gamma_gradient and beta_gradient: add
        those up over the ranks, as the gradients of all your parameters.
        """
        shape = self._gradient_shape(x, dz, saved)
        dx = output_for(out, dz, x)
        self._call("backward", x.ctypes.data, dz.ctypes.data, dx.ctypes.data, shape, saved.address)
        return dx

    def backward_parameters(self, x: np.ndarray, dz: np.ndarray, saved: Moments) -> None:
        """Adds to gamma_gradient and beta_gradient alone, if no rank wants dx. Communicates nothing."""
        shape = self._gradient_shape(x, dz, saved)
        self._call("backward_parameters", x.ctypes.data, dz.ctypes.data, shape, saved.address)

    # --- training, while something else is computed ---

    def begin_forward(self, x: np.ndarray, out: np.ndarray | None = None) -> None:
        """The first half of forward: sends what the other ranks need. x must not change before end_forward."""
        shape = self._shape(x, "x")
        z, saved = output_for(out, x), Moments()
        self._call("begin_forward", x.ctypes.data, z.ctypes.data, shape, saved.address)
        self._under_way = (x, z, saved)

    def end_forward(self) -> tuple[np.ndarray, Moments]:
        self._call("end_forward")
        (_, z, saved), self._under_way = self._under_way, None
        return z, saved

    def begin_backward(self, x: np.ndarray, dz: np.ndarray, saved: Moments, out: np.ndarray | None = None) -> None:
        """The first half of backward. Neither x nor dz may change before end_backward."""
        shape = self._gradient_shape(x, dz, saved)
        dx = output_for(out, dz, x)
        self._call("begin_backward", x.ctypes.data, dz.ctypes.data, dx.ctypes.data, shape, saved.address)
        self._under_way = (x, dz, dx, saved)

    def end_backward(self) -> np.ndarray:
        self._call("end_backward")
        (_, _, dx, _), self._under_way = self._under_way, None
        return dx

    def poll(self) -> bool:
        """Drives the exchange that is under way; whether the end would not wait. A long computation calls it now and then."""
        done = ctypes.c_int()
        self._call("poll", ctypes.byref(done))
        return bool(done.value)

    # --- training, with several replicas on this rank ---

    def forward_slices(self, xs, outs=None) -> tuple[list[np.ndarray], Moments]:
        """As forward, with one array for each replica of this rank, in order."""
        slices = (c.ForwardSlice * len(xs))()
        zs, saved = [], Moments()
        for i, (x, out) in enumerate(zip(xs, outs or [None] * len(xs), strict=True)):
            shape = self._shape(x, f"x[{i}]")
            zs.append(output_for(out, x))
            slices[i] = c.ForwardSlice(x.ctypes.data, zs[i].ctypes.data, shape)
        if outs:
            require_apart(xs, zs)
        self._call("forward_slices", ctypes.addressof(slices), len(xs), saved.address)
        return zs, saved

    def backward_slices(self, xs, dzs, saved: Moments, outs=None) -> tuple[list[np.ndarray], np.ndarray]:
        """As backward, with one array for each replica of this rank: the dx of each, and the derivatives by γ and by β
        that each has, (replicas, 2, channels): these are not added to gamma_gradient and beta_gradient."""
        slices = (c.BackwardSlice * len(xs))()
        dxs, gradients = [], np.empty((len(xs), 2, self.channels), self.dtype)
        for i, (x, dz, out) in enumerate(zip(xs, dzs, outs or [None] * len(xs), strict=True)):
            shape = self._gradient_shape(x, dz, saved)
            dxs.append(output_for(out, dz, x))
            slices[i] = c.BackwardSlice(x.ctypes.data, dz.ctypes.data, dxs[i].ctypes.data, shape,
                                        gradients[i, 0].ctypes.data, gradients[i, 1].ctypes.data)
        if outs:
            require_apart(xs, dxs)
            require_apart(dzs, dxs)
        self._call("backward_slices", ctypes.addressof(slices), len(xs), saved.address)
        return dxs, gradients

    # --- evaluation ---

    def infer(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Normalizes with the running averages. Communicates nothing and changes nothing; `out` may be x."""
        shape = self._shape(x, "x")
        z = output_for(out, x)
        code = library().lockstep_batch_norm_infer(self._address, x.ctypes.data, z.ctypes.data, shape)
        if code:
            fail(code)
        return z

    # --- state ---

    def zero_gradients(self) -> None:
        self._call("zero_gradients")

    @property
    def batches_tracked(self) -> tuple[int, int]:
        """How many batches the running mean has seen, and how many the running variance (one value has none)."""
        batches, with_variance = ctypes.c_int64(), ctypes.c_int64()
        check(library().lockstep_batch_norm_batches_tracked(self._address, ctypes.byref(batches),
                                                            ctypes.byref(with_variance)))
        return batches.value, with_variance.value

    @batches_tracked.setter
    def batches_tracked(self, numbers: tuple[int, int]) -> None:
        self._call("set_batches_tracked", *numbers)

    def state(self) -> dict[str, np.ndarray]:
        """What to save, under PyTorch's names: copies."""
        state = {}
        if self.affine:
            state.update(weight=self.gamma.copy(), bias=self.beta.copy())
        if self.track_running_stats:
            state.update(running_mean=self.running_mean.copy(), running_var=self.running_var.copy(),
                         num_batches_tracked=np.array(self.batches_tracked))
        return state

    def load_state(self, state) -> None:
        """What state() gave, or the same arrays from elsewhere: PyTorch's num_batches_tracked is one number."""
        own = self.state()
        if set(state) != set(own):
            raise UsageError(f"the state has {', '.join(sorted(state))}; it is to have {', '.join(sorted(own))}")
        places = {"weight": self.gamma, "bias": self.beta, "running_mean": self.running_mean,
                  "running_var": self.running_var}
        for name, values in state.items():
            if name in places and np.shape(values) != (self.channels,):
                raise UsageError(f"{name} has shape {np.shape(values)}; it is to have ({self.channels},)")
        for name, values in state.items():
            if name in places:
                places[name][...] = values
            else:
                self.batches_tracked = tuple(int(n) for n in np.broadcast_to(values, 2))

    # --- changes, which are collective, and not while a pass is under way ---

    @property
    def eps(self) -> float:
        return self._eps

    def set_eps(self, eps: float) -> None:
        """Collective."""
        self._call("set_epsilon", eps)
        self._eps = eps

    @property
    def momentum(self) -> float | None:
        return self._momentum

    def set_momentum(self, momentum: float | None) -> None:
        """Collective. None: plain averages."""
        self._call("set_momentum", 0.0 if momentum is None else momentum, momentum is None)
        self._momentum = momentum

    @property
    def frozen(self) -> bool:
        return self._frozen

    def freeze(self, frozen: bool = True) -> None:
        """Frozen, forward normalizes with the running averages, leaves them alone, and exchanges nothing. Collective."""
        self._call("set_frozen", frozen)
        self._frozen = frozen

    def change_communicator(self, comm=None, replicas: int | None = None, group: int | None = None) -> None:
        """From now on normalizes over another communicator: what makes a local layer a synchronized one, and back.

        Collective over the new one. What forwards have saved before is of no use any more.
        """
        new = _communicator.of(comm)
        self._call("change_communicator", new.address, replicas or 0, group or 0)
        self._communicator = new

    def synchronize_running_averages(self, among=None, weight: float = 1) -> None:
        """Of a layer that is local to each rank: all ranks of `among` get the running averages of all of them, pooled.

        Collective. `weight` says how much this rank's count; 0 only receives.
        """
        self._call("synchronize_running_averages", _communicator.of(among).address, weight)

    # --- arguments ---

    def _shape(self, x: np.ndarray, what: str) -> c.Shape:
        require_array(x, what, self.dtype)
        return shape_of(x, self.channels, self._axis, what)

    def _gradient_shape(self, x: np.ndarray, dz: np.ndarray, saved: Moments) -> c.Shape:
        if not isinstance(saved, Moments):
            raise TypeError(f"what forward saved is wanted, not {type(saved).__name__}")
        require_array(dz, "dz", self.dtype)
        shape = self._shape(x, "x")
        require_alike(x, dz, "x and dz")
        return shape
