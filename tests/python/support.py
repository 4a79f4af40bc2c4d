"""What the tests of the Python package share: the ranks' communicator, shares of a batch, and the mathematics in double."""
import os
import subprocess
import sys
import unittest

SKIPPED = 77


def need(*packages):
    """Ends the program as skipped unless all of these can be imported."""
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            print(f"skipped: {error}")
            sys.exit(SKIPPED)
    if "mpi4py" in packages and not mpi4py_has_our_mpi():
        print("skipped: mpi4py has been built with another MPI")
        sys.exit(SKIPPED)


def mpi4py_has_our_mpi():
    """Asked of another process: in this one mpi4py may have to be imported late."""
    program = ("import sys, mpi4py; mpi4py.rc.initialize = mpi4py.rc.finalize = False; from mpi4py import MPI; "
               "from lockstep import _mpi; sys.exit(_mpi.mpi4py_text(MPI) != _mpi.library_text())")
    return subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False).returncode == 0


need("numpy")
import numpy as np

import lockstep

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# How many samples each rank has, over and over.
UNEVEN, ONE_EMPTY, ONE_EACH = (3, 5, 2, 7), (4, 0, 3, 1), (1, 1, 1, 1)


class RanksTest(unittest.TestCase):
    """A test that all ranks run, with a communicator of its own: a failure of another test leaves it alone."""

    SECONDS = 30

    def setUp(self):
        self.comm = lockstep.Communicator(timeout=self.SECONDS)
        self.assertEqual(self.comm.size, int(os.environ["LOCKSTEP_TEST_RANKS"]), "the ranks are not those that were asked for")

    def run(self, result=None):
        """A rank whose test fails tells the others, which may be waiting for it."""
        super().run(result)
        if not result.wasSuccessful() and hasattr(self, "comm"):
            self.comm.announce_failure(f"{self.id()} has failed", quietly=True)
        return result

    @property
    def several(self):
        return self.comm.size > 1

    def mine(self, samples, batch):
        """This rank's samples of a global batch, `samples` of which are on each rank."""
        begins = np.cumsum([0] + [samples[rank % len(samples)] for rank in range(self.comm.size)])
        return batch[begins[self.comm.rank]:begins[self.comm.rank + 1]]

    def total(self, samples):
        return sum(samples[rank % len(samples)] for rank in range(self.comm.size))

    def close(self, actual, expected, tolerance, what=""):
        """Relative to the largest value, or to 1."""
        actual, expected = (np.asarray(values, np.float64) for values in (actual, expected))
        self.assertEqual(actual.shape, expected.shape, what)
        scale = max(1.0, np.abs(expected).max(initial=0))
        worst = np.abs(actual - expected).max(initial=0)
        self.assertLessEqual(worst, tolerance * scale, what)  # a NaN is in no order

    def raises(self, kind, *words):
        """A context in which `kind` is to be raised with all of these words."""
        return _Raises(self, kind, words)


class _Raises:
    def __init__(self, test, kind, words):
        self.test, self.kind, self.words = test, kind, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.test.assertIsNotNone(error, f"nothing was raised; expected {self.kind.__name__} with {self.words}")
        if not isinstance(error, self.kind):
            return False
        for word in self.words:
            self.test.assertIn(word, str(error))
        self.error = error
        return True


def normalized(x, epsilon=1e-5, axis=1):
    """In double: x̂, 1/√(σ² + ε), mean and variance, over all dimensions but `axis`."""
    x = np.asarray(x, np.float64)
    axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + epsilon)
    return (x - mean) * inverse, inverse, mean.ravel(), variance.ravel()


def input_gradient(x, dz, gamma, epsilon=1e-5, axis=1):
    """In double: dx of the formula, over the whole batch."""
    axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    hat, inverse, _, _ = normalized(x, epsilon, axis)
    dz = np.asarray(dz, np.float64)
    shape = [1] * x.ndim
    shape[axis] = -1
    return np.reshape(gamma, shape) * inverse * (dz - dz.mean(axes, keepdims=True)
                                                - hat * (dz * hat).mean(axes, keepdims=True))


def main():
    """Stops at the first failure: the other ranks then learn of it instead of meeting the next test."""
    quiet = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0")) != "0"
    run_tests(failfast=True, verbosity=0 if quiet else 2)


def run_tests(**options):
    """Ends the program: as skipped if every test has been, which unittest takes for a success or a failure."""
    result = unittest.main(exit=False, **options).result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun and len(result.skipped) == result.testsRun else 0)
