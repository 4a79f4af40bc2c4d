"""The other side of numpy_test.cpp: arrays by NumPy and h5py.

    numpy_arrays.py probe           ends well if both are here
    numpy_arrays.py write FOLDER    writes arrays of every type and order, names them in FOLDER/list, and puts the
                                    values of each beside it as doubles in C order (.f8)
    numpy_arrays.py check FILE...   ends well if each file holds 0.5, 1.5, 2.5 … as a 7x3 array
"""
import pathlib
import sys

import h5py
import numpy

TYPES = ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8",
         "<f4", ">f4", "<f8", ">f8", "?"]
LAYOUTS = {"contiguous": {}, "chunked": {"chunks": (3, 2, 4)}, "gzip": {"compression": "gzip", "shuffle": True},
           "checked": {"chunks": True, "fletcher32": True}, "growing": {"maxshape": (None, 3, 4)}}


def values_of(dtype):
    random = numpy.random.default_rng(1)
    if dtype.kind == "f":
        return (random.standard_normal((7, 3, 4)) * 1e6).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, (7, 3, 4)).astype(dtype)
    limits = numpy.iinfo(dtype)
    native = dtype.newbyteorder("=")
    return random.integers(limits.min, limits.max, (7, 3, 4), endpoint=True, dtype=native).astype(dtype)


def write(folder):
    names = []
    with h5py.File(folder / "all.h5", "w") as file:
        for code in TYPES:
            values = values_of(numpy.dtype(code))
            name = code.replace("<", "little_").replace(">", "big_").replace("?", "bool")
            texts = []
            for order in "C", "F":
                for version in (1, 0), (2, 0), (3, 0):
                    texts.append(f"{name}_{order}_{version[0]}.npy")
                    with open(folder / texts[-1], "wb") as npy:
                        numpy.lib.format.write_array(npy, numpy.asarray(values, order=order), version)
            for layout, options in LAYOUTS.items():
                texts.append(f"all.h5:/{layout}/{name}")
                file.create_dataset(f"{layout}/{name}", data=values, **options)
            (folder / f"{name}.f8").write_bytes(values.astype("=f8").tobytes())
            names += [f"{name}.f8 {text}" for text in texts]
    (folder / "list").write_text("\n".join(names) + "\n", encoding="utf-8")


def check(path):
    values = h5py.File(path, "r")["/group/x"][:] if path.endswith(".h5") else numpy.load(path)
    expected = (numpy.arange(21) + 0.5).reshape(7, 3)
    assert values.dtype == numpy.float32 and values.shape == (7, 3) and (values == expected).all(), values


if sys.argv[1] == "write":
    write(pathlib.Path(sys.argv[2]))
elif sys.argv[1] == "check":
    for argument in sys.argv[2:]:
        check(argument)
