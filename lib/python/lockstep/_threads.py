"""Threads that a layer's work is spread over: one pool for each number of them, which the process's layers share."""

import ctypes
import functools

from . import _prototypes as c
from ._library import Handle, check, library


@functools.cache
def _pool(threads: int) -> tuple[Handle, c.Executor]:
    """Kept to the end of the process: it must outlive the layers that use it."""
    pool, executor = Handle("thread_pool", threads), c.Executor()
    check(library().lockstep_thread_pool_executor(pool.address, ctypes.byref(executor)))
    return pool, executor


def use_threads(layer: int, threads: int | None) -> None:
    """Spreads the layer's passes over so many threads, the calling one among them; None: the calling one alone."""
    if threads is not None:
        check(library().lockstep_batch_norm_set_executor(layer, ctypes.byref(_pool(threads)[1])))
