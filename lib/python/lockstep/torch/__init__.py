"""Synchronized batch normalization for PyTorch on CPUs, and Lockstep's networks as PyTorch modules.

    network = lockstep.torch.convert_sync_batchnorm(network)       # then train it on all ranks

Nothing here needs MPI or the shared library before a SyncBatchNorm is trained.
"""

from .batch_norm import SyncBatchNorm
from .convert import convert_sync_batchnorm, revert_sync_batchnorm
from .models import model_from_text
from .weights import load_weights, read_safetensors, write_safetensors

__all__ = ["SyncBatchNorm", "convert_sync_batchnorm", "load_weights", "model_from_text", "read_safetensors",
           "revert_sync_batchnorm", "write_safetensors"]
