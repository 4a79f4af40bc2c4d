"""Batch normalization over the values of all MPI ranks, for NumPy arrays here and for PyTorch in lockstep.torch.

    comm = lockstep.Communicator()                       # of all ranks; or Communicator(mpi4py_communicator)
    norm = lockstep.SyncBatchNorm(channels, comm)
    z, saved = norm.forward(x)                           # training; x: (samples, channels, ...)
    dx = norm.backward(x, dz, saved)
    z = norm.infer(x)                                    # evaluation: no communication

The shared library is loaded when something here first needs it: `python3 -m lockstep` says which one.
"""

from ._version import VERSION as __version__
from .errors import CommunicationError, Error, UsageError

# What needs the library and NumPy, by the module that it is in.
_LATER = {"Communicator": "communicator", "world": "communicator", "SyncBatchNorm": "batch_norm",
          "PreciseStatistics": "precise_statistics"}

__all__ = ["CommunicationError", "Error", "UsageError", "__version__", *_LATER]


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module 'lockstep' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"lockstep.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
