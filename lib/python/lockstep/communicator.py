"""Who normalizes together: a duplicate of an MPI communicator, with a time-out."""

import ctypes
import functools

from . import _mpi
from ._library import Handle, check, library


class Communicator:
    """The ranks of `comm`, a communicator of mpi4py, or of the world if it is None.

    Collective: it makes a duplicate, so that no message of Lockstep's can meet one of yours. `timeout` is how many
    seconds an exchange may wait for other ranks before it is a CommunicationError. Layers that share a communicator
    notice each other's mistakes. After an error it is of no use any more; make a new one.

    As a context manager it tells the other ranks about an exception that leaves the block, so that none of them waits
    for this one:

        with lockstep.Communicator() as comm:
            train(comm)

    (An exception that ends the whole program is told anyway.)
    """

    __slots__ = ("_handle", "rank", "size", "timeout", "__weakref__")

    def __init__(self, comm=None, timeout: float = 300):
        if comm is None:
            _mpi.initialize()
            self._adopt(Handle("communicator", timeout, function="create_world"), timeout)
            _mpi.check_world(self.size)
        else:
            fortran = _mpi.fortran_handle(comm)
            _mpi.initialize()
            self._adopt(Handle("communicator", fortran, timeout, function="create_fortran"), timeout)

    @classmethod
    def self(cls) -> "Communicator":
        """The calling process alone. Not collective."""
        _mpi.initialize()
        return cls.__new__(cls)._adopt(Handle("communicator", function="create_self"), 300)

    def split(self, color: int, key: int = 0) -> "Communicator":
        """As MPI_Comm_split: one new communicator for each color, its ranks in the order of `key`. Collective."""
        part = Handle("communicator", self.address, color, key, function="split")
        return type(self).__new__(type(self))._adopt(part, self.timeout)

    def _adopt(self, handle: Handle, timeout: float) -> "Communicator":
        self._handle, self.timeout = handle, timeout
        self.rank = self._number("rank")
        self.size = self._number("size")
        _mpi.watch(self)
        return self

    def _number(self, what: str) -> int:
        number = ctypes.c_int32()
        check(getattr(library(), "lockstep_communicator_" + what)(self.address, ctypes.byref(number)))
        return number.value

    @property
    def address(self) -> int:
        """Of the C library's handle."""
        return self._handle.address

    def announce_failure(self, why: str, quietly: bool = False) -> None:
        """Tells all other ranks that this one cannot go on, and why: whoever waits for it gets an error with these words.

        The communicator is of no use after. `quietly` raises nothing, for callers that are failing already.
        """
        code = library().lockstep_communicator_announce_failure(self.address, why.encode(errors="replace"))
        if not quietly:
            check(code)

    def __enter__(self) -> "Communicator":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        # Who leaves with exit code 0 has done what was to be done.
        if error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.announce_failure(f"{kind.__name__}: {error}", quietly=True)

    def __repr__(self) -> str:
        return f"<lockstep.Communicator: rank {self.rank} of {self.size}>"

    def __copy__(self) -> "Communicator":
        return self

    def __deepcopy__(self, memo) -> "Communicator":
        return self

    def __reduce__(self):
        raise TypeError("a communicator belongs to a running MPI job and cannot be pickled")


def world(timeout: float = 300) -> Communicator:
    """The communicator of all ranks that everything in this process shares that names none. Collective at first."""
    return _world(float(timeout))


@functools.cache
def _world(timeout: float) -> Communicator:
    return Communicator(timeout=timeout)


_attribute: int | None = None  # mpi4py's key of what we attach to its communicators


def of(comm, timeout: float = 300) -> Communicator:
    """A Communicator as it is; of mpi4py's, the one that all callers of this function share; of None, world()."""
    global _attribute
    timeout = float(timeout)
    if isinstance(comm, Communicator):
        return comm
    if comm is None:
        return world(timeout)
    _mpi.fortran_handle(comm)  # or it is no communicator of mpi4py's
    if _attribute is None:
        _attribute = type(comm).Create_keyval()
    shared = comm.Get_attr(_attribute)
    if shared is None:
        shared = {}
        comm.Set_attr(_attribute, shared)
    if timeout not in shared:
        shared[timeout] = Communicator(comm, timeout)
    return shared[timeout]
