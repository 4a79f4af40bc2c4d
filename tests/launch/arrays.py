"""Arrays of one's own for the tests: .npy files by the format's description alone, so that no NumPy is needed, HDF5
files by a Python that has h5py, and two small data sets to learn from."""
import array
import ast
import functools
import math
import os
import pathlib
import random
import struct
import subprocess
import sys
import unittest

from launcher import RANKS, LauncherTest

# Of SmallArrays: how many samples, and a short training on them.
N = 48
MODEL = ["--model", "batchnorm, linear 8, relu, linear 3"]
SHORT = ["--replicas", "3", "--batch-size", "8", "--epochs", "1"]
QUICK = [*MODEL, *SHORT]
EDGES = sorted({RANKS[0], RANKS[-1]})


def npy_bytes(kind, shape, values, fortran=False):
    """`kind` as in '<f4'; `values` as bytes, or what makes bytes of itself."""
    header = f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {tuple(shape)}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(values)


def write_npy(path, kind, shape, values, fortran=False):
    """Values in a flat list, of a type of `array`: <f4, <f8, |u1, <i8."""
    code = {"<f4": "f", "<f8": "d", "|u1": "B", "<i8": "q"}[kind]
    pathlib.Path(path).write_bytes(npy_bytes(kind, shape, array.array(code, values), fortran))


def read_npy(path):
    """Shape and values of an .npy file of float32."""
    content = pathlib.Path(path).read_bytes()
    begin = 10 + struct.unpack("<H", content[8:10])[0]
    header = ast.literal_eval(content[10:begin].decode())
    assert header["descr"] == "<f4" and not header["fortran_order"], header
    return header["shape"], array.array("f", content[begin:])


@functools.cache
def python_with_h5py():
    if os.environ.get("LOCKSTEP_HDF5") == "0":
        raise unittest.SkipTest("built without HDF5")
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import h5py, numpy"], capture_output=True, check=False).returncode == 0:
            return python
    raise unittest.SkipTest("no Python with h5py is here")


def write_hdf5(path, arrays):
    """Names to .npy files, each in compressed chunks. Skips the test where that is not possible."""
    script = """
import sys, h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    for pair in sys.argv[2:]:
        name, npy = pair.split("=")
        values = numpy.load(npy)
        file.create_dataset(name, data=values, chunks=(min(64, len(values)), *values.shape[1:]), compression="gzip")
"""
    subprocess.run([python_with_h5py(), "-c", script, path, *(f"{name}={npy}" for name, npy in arrays.items())],
                   check=True)


def write_classes(folder, name, labels_name, samples, seed):
    """Three noisy clouds in 12 dimensions of very different scales; float32, labels int64."""
    draw = random.Random(seed)
    inputs, labels = [], []
    for i in range(samples):
        labels.append(i % 3)
        angle = 2 * math.pi * labels[-1] / 3
        centre = [2 * math.cos(angle), 2 * math.sin(angle)] + [0] * 10
        inputs += [(centre[j] + draw.gauss(0, 1)) * 10**(j / 3 - 1) for j in range(12)]
    write_npy(folder / name, "<f4", (samples, 12), inputs)
    write_npy(folder / labels_name, "<i8", (samples,), labels)


def write_values(folder, name, values_name, samples, seed):
    """Two smooth functions of 12 inputs that lie far from zero; float64."""
    draw = random.Random(seed)
    inputs, values = [], []
    for _ in range(samples):
        x = [draw.gauss(0, 1) for _ in range(12)]
        values += [3 * x[0] - 2 * x[1] + math.sin(x[2]), x[3] * x[4] + x[5]]
        inputs += [101325 + 500 * value for value in x]
    write_npy(folder / name, "<f8", (samples, 12), inputs)
    write_npy(folder / values_name, "<f8", (samples, 2), values)


class SmallArrays(LauncherTest):
    """Tests with x.npy, three classes for it (y.npy) and three values (v.npy)."""

    def setUp(self):
        super().setUp()
        self.inputs = [(7 * i % 11) / 3 - 1 for i in range(4 * N)]
        self.write("x.npy", "<f4", (N, 4), self.inputs)
        self.write("y.npy", "|u1", (N,), [i % 3 for i in range(N)])
        self.write("v.npy", "<f4", (N, 3), self.inputs[:3 * N])
        self.whole = (self.folder / "x.npy").read_bytes()

    def write(self, name, *array):
        write_npy(self.folder / name, *array)
