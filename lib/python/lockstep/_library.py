"""Finds and loads Lockstep's shared library when it is first asked for, and turns its error codes into exceptions.

In this order: what the environment variable LOCKSTEP_LIBRARY names; the library that was built or installed together
with this package (its build wrote where that is into _location.py); what the system's loader finds.
"""

import ctypes
import functools
import os
import re
from typing import NoReturn

from . import _prototypes as c
from ._version import VERSION
from .errors import CommunicationError, Error, UsageError

try:
    from ._location import LIBRARY as _BESIDE  # relative to this folder
except ImportError:  # a source tree, or a copy of the package alone
    _BESIDE = None

_FILE = f"liblockstep_norm.so.{'.'.join(VERSION.split('.')[:2])}"
_EXCEPTIONS = {c.USAGE_ERROR: UsageError, c.COMMUNICATION_ERROR: CommunicationError, c.OTHER_ERROR: Error}


def _place() -> tuple[str, str]:
    """What to load, and why it is that."""
    named = os.environ.get("LOCKSTEP_LIBRARY")
    if named:
        return named, "named by LOCKSTEP_LIBRARY"
    if _BESIDE is not None:
        path = os.path.normpath(os.path.join(os.path.dirname(__file__), _BESIDE))
        if os.path.exists(path):
            return path, "which belongs to this package"
    return _FILE, ("the loader was asked, since the package does not know where its library is; set LOCKSTEP_LIBRARY to "
                   "the file, or take the package from a build or installed folder of Lockstep")


@functools.cache
def library() -> ctypes.CDLL:
    """The library. Raises ImportError, with words, if it cannot be had."""
    path, why = _place()
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"Lockstep's library cannot be loaded: {error} ({why})") from error
    try:
        loaded.lockstep_version.restype = loaded.lockstep_mpi_library.restype = ctypes.c_char_p
        version = loaded.lockstep_version().decode()
        if version == VERSION:
            c.declare(loaded)
    except AttributeError as error:
        raise ImportError(f"{path} ({why}) is no library of Lockstep {VERSION}: {error}") from error
    if version != VERSION:
        raise ImportError(f"the package is Lockstep {VERSION}, but its library is {version}: {path} ({why}); take both of "
                          "one version")
    _show_to_plugins(loaded, path)
    loaded.path = path
    return loaded


def _show_to_plugins(loaded: ctypes.CDLL, path: str) -> None:
    """Plugins of an old Open MPI look for its symbols among those that everybody sees; newer ones see to it themselves."""
    version = re.match(r"Open MPI v(\d+)", loaded.lockstep_mpi_library().decode())
    if version and int(version[1]) < 4:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


def fail(code: int) -> NoReturn:
    """Raises what the last call that failed on this thread says."""
    raise _EXCEPTIONS.get(code, Error)(library().lockstep_message().decode(errors="replace"))


def check(code: int) -> None:
    """For the result of each call."""
    if code != c.OK:
        fail(code)


class Handle:
    """Something of the library's that is freed with this object: by the process that made it, not by its forks."""

    __slots__ = ("address", "_kind", "_process")

    def __init__(self, kind: str, *arguments, function: str = "create"):
        """Of lockstep_KIND_FUNCTION(arguments…, place)."""
        self.address, self._kind, self._process = None, kind, os.getpid()
        place = ctypes.c_void_p()
        check(getattr(library(), f"lockstep_{kind}_{function}")(*arguments, ctypes.byref(place)))
        self.address = place.value

    def free(self, getpid=os.getpid) -> None:  # the name may be gone at the end of the interpreter
        address, self.address = self.address, None
        if address is not None and self._process == getpid():
            getattr(library(), f"lockstep_{self._kind}_free")(address)

    __del__ = free

    def __reduce__(self):
        """A copy would be freed twice."""
        raise TypeError(f"a {self._kind.replace('_', ' ')} of Lockstep's library cannot be copied or pickled")
