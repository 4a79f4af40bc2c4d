"""Batch norms of a network made synchronized ones, and back."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from ..errors import UsageError
from .batch_norm import SyncBatchNorm

# What SyncBatchNorm's own forward stands for. Another one would be lost.
_FORWARDS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)
_BY_DIMENSIONS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def convert_sync_batchnorm(module: nn.Module, process_group=None, *, timeout: float = 300,
                           threads: int | None = None) -> nn.Module:
    """The module with each batch norm in it replaced by a SyncBatchNorm; or the SyncBatchNorm, if it is one itself.

    Parameters and running averages are the same objects, so an optimizer that has them goes on; hooks, requires_grad and
    the training flag are kept. Errors call the layers by their place in the module: "layer1.0.bn2".
    """
    def converted(old: nn.Module, name: str) -> nn.Module:
        if isinstance(old, SyncBatchNorm):
            old.process_group, old.timeout, old.threads = process_group, timeout, threads
            return old
        if any(is_lazy(values) for values in (*old._parameters.values(), *old._buffers.values())):
            raise UsageError(f"{_called(name, old)} is a {type(old).__name__}, which does not know its channels before its first input; "
                             "pass a batch through the network, and then convert it")
        if type(old).forward not in _FORWARDS:
            raise UsageError(f"{_called(name, old)} is a {type(old).__name__}, whose forward is not a batch norm's of PyTorch and would be "
                             "lost; let it have a batch norm in place of being one")
        new = _with_class(old, SyncBatchNorm, name)
        new.set_lockstep(process_group, None, timeout, threads, name or None)
        new.original_class = type(old)
        return new

    return _replaced(module, _BatchNorm, converted)


def revert_sync_batchnorm(module: nn.Module, default: type[nn.Module] | None = None) -> nn.Module:
    """The module with each SyncBatchNorm in it replaced by what it was before it was converted.

    One that was made as a SyncBatchNorm becomes torch.nn.BatchNorm1d, 2d or 3d, as the inputs that it has had; if it had
    none, `default`. Parameters and running averages are the same objects.
    """
    def reverted(old: SyncBatchNorm, name: str) -> nn.Module:
        if old.activation is not None:
            raise UsageError(f"{_called(name, old)} has activation {old.activation!r}, which no batch norm of PyTorch has")
        target = old.original_class
        if target is None or issubclass(target, nn.SyncBatchNorm):
            target = _BY_DIMENSIONS.get(old.input_dimensions, default)
        if target is None:
            raise UsageError(f"{_called(name, old)} was made as a SyncBatchNorm and has had no input: whether it is to be a BatchNorm1d, "
                             "2d or 3d is not known; name one as `default`")
        new = _with_class(old, target, name)
        for attribute in SyncBatchNorm.OWN_ATTRIBUTES:
            new.__dict__.pop(attribute, None)
        if target is nn.SyncBatchNorm:
            new.process_group = None
        return new

    return _replaced(module, SyncBatchNorm, reverted)


def _called(name: str, module: nn.Module) -> str:
    """By its place; the whole has none."""
    return f"'{name}'" if name else f"the {type(module).__name__}"


def _with_class(module: nn.Module, target: type[nn.Module], name: str) -> nn.Module:
    """A module of another class with the same parameters, buffers, hooks and flags."""
    if parametrize.is_parametrized(module):
        raise UsageError(f"{_called(name, module)} has parametrizations, which belong to its class; register them after converting it")
    new = target.__new__(target)
    new.__dict__.update({name: value.copy() if isinstance(value, dict) else value
                         for name, value in module.__dict__.items()})
    return new


def _replaced(module: nn.Module, kind: type[nn.Module], replacement) -> nn.Module:
    """The module with replacement(old, name) for each module of that kind in it; for those that occur twice, once."""
    known: dict[nn.Module, nn.Module] = {}

    def walk(old: nn.Module, name: str) -> nn.Module:
        if old not in known:
            known[old] = new = replacement(old, name) if isinstance(old, kind) else old
            for child, value in new._modules.items():
                if value is not None:
                    new._modules[child] = walk(value, f"{name}.{child}" if name else child)
        return known[old]

    return walk(module, "")
