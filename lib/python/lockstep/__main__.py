"""python3 -m lockstep: what this package is, and what it finds."""

import importlib
import sys

from . import __version__


def version_of(package: str) -> str:
    try:
        return getattr(importlib.import_module(package), "__version__", "?")
    except ImportError:
        return "not here"


def main() -> int:
    from ._library import library

    print(f"lockstep {__version__}")
    print(f"Python   {sys.version.split()[0]}, NumPy {version_of('numpy')}, PyTorch {version_of('torch')}")
    try:
        loaded = library()
    except ImportError as error:
        print(f"library  {error}")
        return 1
    from . import _mpi

    print(f"library  {loaded.path}")
    print(f"MPI      {_mpi.brief(_mpi.library_text())}")
    try:
        import mpi4py
    except ImportError:
        print("mpi4py   not here; it is not needed")
        return 0
    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    from mpi4py import MPI

    theirs = _mpi.mpi4py_text(MPI)
    print(f"mpi4py   {mpi4py.__version__}, on "
          f"{'the same MPI' if theirs == _mpi.library_text() else 'another MPI: ' + _mpi.brief(theirs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
