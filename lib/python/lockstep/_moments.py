"""What a forward saves for its backward."""

import ctypes

import numpy as np

from ._library import Handle, check, library


class Moments:
    """The statistics that forward normalized with. Of one layer and one shape; backward may use it several times."""

    __slots__ = ("_handle",)

    def __init__(self):
        self._handle = Handle("moments")

    @property
    def address(self) -> int:
        return self._handle.address

    def _read(self, group: int) -> tuple[float, np.ndarray, np.ndarray]:
        count, channels = ctypes.c_double(), ctypes.c_int64()
        mean, variance = ctypes.c_void_p(), ctypes.c_void_p()
        check(library().lockstep_moments_read(self.address, group, ctypes.byref(count), ctypes.byref(mean),
                                              ctypes.byref(variance), ctypes.byref(channels)))
        arrays = (np.ctypeslib.as_array(ctypes.cast(place, ctypes.POINTER(ctypes.c_double)), (channels.value,)).copy()
                  for place in (mean, variance))
        return count.value, *arrays

    def count(self, group: int = 0) -> float:
        """Values per channel, of all ranks; `group` is the statistics group of this rank, if there are several."""
        return self._read(group)[0]

    def mean(self, group: int = 0) -> np.ndarray:
        return self._read(group)[1]

    def variance(self, group: int = 0) -> np.ndarray:
        """Biased: divided by count."""
        return self._read(group)[2]
