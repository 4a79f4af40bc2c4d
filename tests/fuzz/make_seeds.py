#!/usr/bin/env python3
"""Writes what fuzzing starts from: small, valid inputs for each target, in DIR/TARGET/.

    tests/fuzz/make_seeds.py DIR BUILD      BUILD holds the targets, of which fuzz_checkpoint writes its own seed
"""
import gzip
import json
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def npy(description, values, version=1):
    text = description.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + values


def idx(extents, values):
    return struct.pack(">HBB", 0, 8, len(extents)) + b"".join(struct.pack(">I", n) for n in extents) + values


def pair(first, second):
    """As in_two of scratch.hpp cuts it."""
    return struct.pack("<H", len(first)) + first + second


def safetensors(tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, (kind, shape, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def hdf5_seeds(folder):
    try:
        import h5py
        import numpy
    except ImportError:
        print("There is no h5py here: no seeds for HDF5")
        return
    for name, options in (("plain", {}), ("chunks", {"chunks": (2, 3), "compression": "gzip", "shuffle": True})):
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("x", data=numpy.arange(12, dtype="<f4").reshape(4, 3), **options)
            file.create_dataset("group/y", data=numpy.arange(4, dtype=">i8"))


def seeds():
    yield "npy", "float", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", bytes(48))
    yield "npy", "fortran", npy("{'descr': '>i2', 'fortran_order': True, 'shape': (4, 3), }", bytes(range(24)), 2)
    yield "npy", "flags", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (5,), }", bytes(5), 3)
    images, labels = idx([3, 2, 2], bytes(range(12))), idx([3], bytes([0, 1, 2]))
    yield "idx", "plain", pair(images, labels)
    yield "idx", "compressed", pair(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))
    record = bytes(i % 251 for i in range(3072))
    yield "cifar", "ten", pair(b"\x01" + record, b"\x02" + record)
    yield "cifar", "hundred", pair(b"\x01\x05" + record, b"\x02\x06" + record)
    yield "cifar", "compressed", pair(gzip.compress(b"\x01" + record, mtime=0), gzip.compress(b"\x02" + record, mtime=0))
    signature = {"lockstep.model": "linear 2", "lockstep.input": "raw", "format": "pt"}
    yield "safetensors", "floats", safetensors({"0.weight": ("F32", [2, 3], bytes(24)), "0.bias": ("F64", [2], bytes(16)),
                                                "half": ("F16", [2], bytes(4)), "n": ("I64", [], bytes(8))}, signature)
    for path in sorted((ROOT / "configs").glob("*.cfg")):
        yield "config", path.stem, path.read_bytes()
        for line in path.read_text().splitlines():
            if line.replace(" ", "").startswith("model="):
                yield "model", path.stem, line.partition("=")[2].strip().encode()
    yield "model", "settings", b"batchnorm epsilon 1e-3 momentum 0.01 affine false, leaky-relu 0.01, dropout 0.1, linear 3"
    step = {"kind": "step", "epoch": 1, "step": 7, "loss": 0.5}
    epoch = {"kind": "epoch", "epoch": 1, "train_loss": 1.5, "train_accuracy": 0.5, "test_loss": None, "test_accuracy": 1,
             "test_top5": None, "seconds": 1, "samples_per_second": 10, "communication_seconds": 0}
    lines = [json.dumps(one, separators=(",", ":")) for one in (step, epoch, step)]
    yield "metrics", "run", ("\n".join(lines) + "\n").encode()
    yield "metrics", "torn", ("\n".join(lines) + '\n{"kind":"st').encode()
    yield "study", "empty", b"{}"
    yield "study", "record", json.dumps(
        {"mode": "local", "batch_size": 2, "replicas": 4, "seed": 1, "outcome": "finished", "reason": "",
         "settings": {"a": "b"}, "epochs": [{"epoch": 1, "train_loss": 1}], "losses": [[0.5, 1]],
         "noise": [{"epoch": 1, "mean": [1], "variance": [1]}], "fingerprint": "0123456789abcdef"}).encode()


def main():
    target, build = map(pathlib.Path, sys.argv[1:3])
    for kind, name, content in seeds():
        (target / kind).mkdir(parents=True, exist_ok=True)
        (target / kind / name).write_bytes(content)
    for kind in ("hdf5", "checkpoint"):
        (target / kind).mkdir(parents=True, exist_ok=True)
    hdf5_seeds(target / "hdf5")
    subprocess.run([build / "fuzz_checkpoint", "--write", target / "checkpoint" / "run"], check=True)


if __name__ == "__main__":
    main()
