"""NumPy arrays that are the library's own memory."""

import numpy as np


class _Memory:
    """What NumPy asks for the address; keeps the memory's owner alive as long as an array of it lives."""

    def __init__(self, owner, address: int, count: int, dtype: np.dtype):
        self.owner = owner
        self.__array_interface__ = {"version": 3, "shape": (count,), "typestr": dtype.str, "data": (address, False)}


def view(owner, address: int, count: int, dtype) -> np.ndarray:
    """`count` values at an address that is valid as long as `owner` lives."""
    return np.asarray(_Memory(owner, address, count, np.dtype(dtype)))
