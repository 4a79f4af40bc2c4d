"""torch.nn.SyncBatchNorm for CPU tensors, over MPI."""

import copy

import torch
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from .. import _prototypes as c
from ..errors import UsageError
from ._engine import Engine, require_type
from ._function import BatchNormFunction


class SyncBatchNorm(_BatchNorm):
    """Batch normalization over the values that all ranks of a communicator hold together.

    A drop-in for torch.nn.SyncBatchNorm, with its arguments, state and semantics, for CPU tensors of float32 and float64.
    `process_group` is a communicator of mpi4py, a lockstep.Communicator, or None: the world.

    In training mode forward is collective, and so is backward if the input requires a gradient, which it must do on all
    ranks or on none. In evaluation mode nothing is communicated. The gradients of weight and bias are those of this rank's
    values, as torch.nn.SyncBatchNorm has them: DistributedDataParallel averages them over the ranks as all others.

    activation='relu' gives relu(z) in the same pass. `timeout`: the seconds that an exchange may wait for other ranks.
    `threads`: how many threads compute, with the same bits. `name`: what errors call the layer, the same on every rank.
    """

    # What it has beyond a batch norm of PyTorch.
    OWN_ATTRIBUTES = ("process_group", "activation", "timeout", "threads", "name", "original_class", "input_dimensions",
                      "_engine")

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group=None, device=None, dtype=None, *,
                 activation: str | None = None, timeout: float = 300, threads: int | None = None,
                 name: str | None = None):
        if activation not in c.ACTIVATIONS:
            raise UsageError(f"unknown activation {activation!r}; choose one of "
                             f"{', '.join(map(repr, c.ACTIVATIONS))}")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.set_lockstep(process_group, activation, timeout, threads, name)

    def set_lockstep(self, process_group=None, activation=None, timeout=300, threads=None, name=None) -> None:
        """What a batch norm of PyTorch does not have."""
        self.process_group, self.activation, self.timeout = process_group, activation, timeout
        self.threads, self.name = threads, name
        self.original_class = None  # of a converted one
        self.input_dimensions = None  # of the latest input
        self._engine = None  # the library's layer, from the first forward in training mode on

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self._evaluate(input)
        weight, bias, averages = self._tensors()
        affine = weight is not None or bias is not None
        tracks = self.track_running_stats and averages[0] is not None and averages[1] is not None
        engine = self._engine
        if engine is None or not engine.fits(self, input, affine, tracks):
            engine = self._engine = self._renewed(input, affine, tracks)
        records = torch.is_grad_enabled()
        input_gradient = records and input.requires_grad
        if records and input_gradient is not engine.input_gradient:
            engine.agree_on_input_gradient(input_gradient)
        return BatchNormFunction.apply(input, weight, bias, engine, averages, input_gradient)

    def _tensors(self) -> tuple:
        """weight, bias, and running mean, variance and their counter.

        A module's tables are faster than its attributes. But pruning, parametrizations and functional_call put attributes
        in their place, the latter two by deriving a class.
        """
        if type(self) is SyncBatchNorm:
            parameters, buffers = self._parameters, self._buffers
            try:
                return parameters["weight"], parameters["bias"], (
                    buffers["running_mean"], buffers["running_var"], buffers["num_batches_tracked"])
            except KeyError:
                pass
        return self.weight, self.bias, (self.running_mean, self.running_var, self.num_batches_tracked)

    def _renewed(self, input: torch.Tensor, affine: bool, tracks: bool) -> Engine:
        """Collective: this module has changed on all ranks, or is new."""
        require_type(input, f"batch norm{'' if self.name is None else f' {self.name!r}'}: the input")
        self.input_dimensions = input.dim()
        engine = self._engine
        if engine is None or not engine.serves(self, input, affine, tracks):
            return Engine(self, input.dtype, affine, tracks)
        engine.follow(self)
        return engine

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any number of dimensions from 2 on; forward says what is wrong."""

    def _evaluate(self, input: torch.Tensor) -> torch.Tensor:
        """As PyTorch does it: with the running averages, or if there are none with this rank's statistics."""
        self.__dict__["input_dimensions"] = input.dim()
        z = functional.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                                  self.running_mean is None and self.running_var is None, 0.0, self.eps)
        return z if self.activation is None else functional.relu(z)

    def extra_repr(self) -> str:
        more = "" if self.activation is None else f", activation={self.activation!r}"
        return super().extra_repr() + more

    @classmethod
    def convert_sync_batchnorm(cls, module: torch.nn.Module, process_group=None, **options) -> torch.nn.Module:
        """lockstep.torch.convert_sync_batchnorm, where PyTorch has it."""
        from .convert import convert_sync_batchnorm

        return convert_sync_batchnorm(module, process_group, **options)

    # --- copies ---

    def __getstate__(self) -> dict:
        """Without the library's layer: a copy makes one of its own with its first forward in training mode."""
        return {**self.__dict__, "_engine": None}

    def __deepcopy__(self, memo: dict) -> "SyncBatchNorm":
        """With the same communicator, which is no part of a layer."""
        memo[id(self.process_group)] = self.process_group
        other = self.__class__.__new__(self.__class__)
        memo[id(self)] = other
        other.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return other
