"""MPI's beginning and end in a Python process, and communicators of mpi4py.

Whoever has initialized MPI (mpi4py does when it is imported) keeps finalizing it. Otherwise it is done here, when a
communicator is first asked for, and finalized when Python ends; mpi4py may be imported later all the same.
"""

import atexit
import os
import sys
import weakref

from ._library import Handle, library
from .errors import UsageError

_session: Handle | None = None
# Those that are told if an exception ends this process. Weak: nobody keeps a communicator for that.
_communicators: "weakref.WeakSet" = weakref.WeakSet()


def library_text() -> str:
    """What the MPI of Lockstep's library calls itself."""
    return library().lockstep_mpi_library().decode().rstrip("\0").strip()


def mpi4py_text(module) -> str:
    """What the MPI of mpi4py.MPI calls itself."""
    return module.Get_library_version().rstrip("\0").strip()


def brief(text: str) -> str:
    """The first line of what an MPI calls itself: MPICH goes on with how it was built."""
    return " ".join(text.partition("\n")[0].split())


def _require_same(module) -> None:
    theirs, ours = mpi4py_text(module), library_text()
    if theirs != ours:
        if brief(theirs) != brief(ours):
            theirs, ours = brief(theirs), brief(ours)
        raise UsageError(f"mpi4py and Lockstep's library were built with different MPIs, which know nothing of each other: "
                         f"'{theirs}' and '{ours}'; build one of them with the MPI of the other")


def initialize() -> None:
    """Makes sure that MPI runs."""
    global _session
    if _session is not None:
        return
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized():
        _require_same(module)
    _session = Handle("session")
    atexit.register(_end, os.getpid())


def fortran_handle(comm) -> int:
    """The number by which both MPI libraries' users know a communicator of mpi4py."""
    module = sys.modules.get("mpi4py.MPI")
    if module is None or not isinstance(comm, module.Comm):
        hint = ""
        if type(comm).__module__.startswith("torch"):
            hint = "; a process group of torch.distributed is no MPI communicator"
        raise TypeError(f"a communicator of mpi4py or None, the world, is wanted, not {type(comm).__name__}{hint}")
    _require_same(module)
    if comm == module.COMM_NULL:
        raise UsageError("the communicator is MPI.COMM_NULL")
    return comm.py2f()


def check_world(size: int) -> None:
    """Started by the mpirun of another MPI, each process would be a world of its own, and nobody would notice."""
    for variable, launcher in (("OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun"), ("PMI_SIZE", "MPICH's mpirun")):
        started = os.environ.get(variable, "")
        if started.isdigit() and int(started) != size:
            raise UsageError(f"{launcher} started {started} processes ({variable}), but the MPI of Lockstep's library, "
                             f"'{brief(library_text())}', sees {size}; take the mpirun that belongs to it")


def watch(communicator) -> None:
    """From now on the communicator's ranks are told if an exception ends this process."""
    _communicators.add(communicator)


def _end(process: int) -> None:
    """At the end of Python: the other ranks need not wait for one that an exception has ended."""
    if os.getpid() != process:
        return
    error = getattr(sys, "last_value", None)  # set if the interpreter ends, or has shown, an uncaught exception
    if error is not None:
        for communicator in list(_communicators):
            communicator.announce_failure(f"{type(error).__name__}: {error}", quietly=True)
    _session.free()
