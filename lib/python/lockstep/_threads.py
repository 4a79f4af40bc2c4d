"""Threads that a layer's work is spread over: one pool for each number of them, which the process's layers share. And
Python's own threads, of which a layer serves one at a time."""

import ctypes
import functools
import threading

from . import _prototypes as c
from ._library import Handle, check, library
from .errors import UsageError


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


class OneAtATime:
    """A context for calls that change a layer: another thread gets an error in words instead of a race in the library,
    where Python's global lock does not hold."""

    __slots__ = ("_name", "_acquire", "leave")

    def __init__(self, name: str):
        lock = threading.Lock()
        self._name, self._acquire, self.leave = name, lock.acquire, lock.release

    def enter(self) -> None:
        if not self._acquire(False):
            raise UsageError(f"batch norm '{self._name}' is in use on another thread; layers on one communicator "
                             "belong to one thread at a time")

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_) -> None:
        self.leave()
