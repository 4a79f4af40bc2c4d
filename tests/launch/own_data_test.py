"""Arrays of one's own: train, evaluate, predict and compare on them, with the same results on any number of ranks."""
import gzip
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import time
import unittest

from arrays import npy_bytes, read_npy, write_classes, write_hdf5, write_npy, write_values
from launcher import (RANKS, TIME_FACTOR, LauncherTest, command_line, rank_processes, read_metadata, read_metrics,
                      start, wait_for)

MODEL = ["--model", "batchnorm, linear 16, tanh, batchnorm, linear 3"]
VALUES_MODEL = ["--model", "batchnorm, linear 64, gelu, batchnorm, linear 2"]
SMALL = ["--replicas", "4", "--batch-size", "8"]


class OwnData(LauncherTest):
    def setUp(self):
        super().setUp()
        write_classes(self.folder, "train.npy", "labels.npy", 300, seed=1)
        write_classes(self.folder, "test.npy", "test_labels.npy", 100, seed=2)
        self.classes = ["--data", "train.npy:labels.npy", *MODEL, *SMALL, "--learning-rate", "0.02"]

    def write_values(self, samples):
        write_values(self.folder, "x.npy", "y.npy", samples, seed=3)
        write_values(self.folder, "new.npy", "later.npy", 301, seed=4)
        self.values = ["--loss", "mse", "--input", "standardized", *VALUES_MODEL, *SMALL, "--learning-rate", "0.02",
                       "--schedule", "cosine"]

    def same_on_all_ranks(self, *words, output):
        """The fingerprint; the runs are in folders named after output and number of ranks."""
        found = {self.succeed(n, "train", *words, "--output", f"{output}-{n}").fingerprint for n in RANKS}
        self.assertEqual(len(found), 1, found)
        return found.pop()

    def epochs_of(self, output):
        return [line for line in read_metrics(self.folder / output / "metrics.jsonl") if line["kind"] == "epoch"]


class Commands(OwnData):
    def test_train_on_classes(self):
        found = {}
        for mode in ("local", "group:2", "sync"):
            found[mode] = self.same_on_all_ranks(*self.classes, "--test-data", "test.npy:test_labels.npy", "--epochs",
                                                 "3", "--bn", mode, output=mode)
            self.assertGreater(self.epochs_of(f"{mode}-{RANKS[0]}")[-1]["test_accuracy"], 0.8)
        self.assertEqual(len(set(found.values())), 3, found)

    def test_train_on_values_evaluate_and_predict(self):
        self.write_values(2000)
        self.same_on_all_ranks("--data", "x.npy:y.npy", "--test-split", "0.1", *self.values, "--epochs", "20",
                               output="run")
        weights = ["--weights", f"run-{RANKS[0]}/model.safetensors"]
        shown = {self.succeed(n, "evaluate", *weights, "--data", "new.npy:later.npy").out for n in RANKS}
        self.assertEqual(len(shown), 1, shown)
        rmse, r2 = (float(word) for word in re.search(r"all +(\S+) +\S+ +(\S+)\n", shown.pop()).groups())
        self.assertGreaterEqual(r2, 0.95)
        for name in ("p.npy", "p.h5", "named.h5"):
            with self.subTest(name):
                self.same_predictions(weights, name)
        shape, predicted = read_npy(self.folder / "p.npy")
        self.assertEqual(shape, (301, 2))
        content = (self.folder / "later.npy").read_bytes()
        true = struct.unpack("<602d", content[-602 * 8:])
        squares = sum((p - t)**2 for p, t in zip(predicted, true))
        self.assertAlmostEqual((squares / 602)**0.5, rmse, delta=1e-4 * rmse)  # a row for each sample, in order

    def same_predictions(self, weights, name):
        if name.endswith(".h5"):
            write_hdf5(self.folder / "h5py.h5", {})  # skips
        contents = set()
        for n in RANKS:
            (self.folder / name).unlink(missing_ok=True)
            where = name + ":/a/b" if name == "named.h5" else name
            self.succeed(n, "predict", *weights, "--data", "new.npy", "--output", where)
            contents.add((self.folder / name).read_bytes())
        self.assertEqual(len(contents), 1)

    def test_values_in_hdf5_are_those_in_npy(self):
        self.write_values(400)
        write_hdf5(self.folder / "weather.h5", {"x": self.folder / "x.npy", "group/y": self.folder / "y.npy"})
        words = ["--test-split", "0.1", *self.values, "--epochs", "2"]
        from_hdf5 = self.same_on_all_ranks("--data", "weather.h5:/x:/group/y", *words, output="hdf5")
        from_npy = self.succeed(RANKS[-1], "train", "--data", "x.npy:y.npy", *words).fingerprint
        self.assertEqual(from_hdf5, from_npy)

    def test_probabilities_are_of_classes_and_labels_alone(self):
        self.succeed(2, "train", *self.classes, "--epochs", "3", "--output", "run")
        weights = ["--weights", "run/model.safetensors"]
        self.succeed(2, "predict", *weights, "--data", "test.npy", "--output", "p.npy", "--probabilities")
        shape, p = read_npy(self.folder / "p.npy")
        self.assertEqual(shape, (100, 3))
        right = 0
        for i in range(100):
            row = p[3 * i:3 * i + 3]
            self.assertAlmostEqual(sum(row), 1, delta=1e-6)
            right += row[i % 3] == max(row)
        shown = self.succeed(2, "evaluate", *weights, "--data", "test.npy:test_labels.npy").out
        self.assertIn(f"accuracy  {right}.00 %\n", shown)
        self.write_values(100)
        self.succeed(2, "train", "--data", "x.npy:y.npy", *self.values, "--epochs", "1", "--output", "values")
        self.expect_error("not classes or labels", "predict", "--weights", "values/model.safetensors", "--data",
                          "new.npy", "--probabilities", ranks=[2])

    def test_compare(self):
        found = set()
        for n in RANKS:
            self.succeed(n, "compare", "--data", "train.npy:labels.npy", "--test-split", "0.2", *MODEL, "--epochs", "1",
                         "--modes", "local,sync", "--batch-sizes", "4,8", "--global-batch", "16", "--seeds", "1,2",
                         "--output", f"study-{n}")
            rows = (self.folder / f"study-{n}" / "results.csv").read_text().splitlines()
            names = rows[0].split(",")
            found.add("\n".join(",".join(value for name, value in zip(names, row.split(",")) if "second" not in name)
                                for row in rows))
        self.assertEqual(len(found), 1, found)


class Metrics(OwnData):
    """What is measured follows the task."""

    def test_without_test_data(self):
        result = self.succeed(2, "train", *self.classes, "--epochs", "1", "--output", "run")
        self.assertNotIn("test loss", result.out)
        epoch = self.epochs_of("run")[-1]
        self.assertEqual((epoch["test_loss"], epoch["test_accuracy"]), (None, None))
        self.assertIn("300 training samples\n", result.out)

    def test_of_values(self):
        self.write_values(200)
        self.succeed(2, "train", "--data", "x.npy:y.npy", "--test-split", "0.25", *self.values, "--epochs", "1",
                     "--output", "run")
        epoch = self.epochs_of("run")[-1]
        for name in ("train_loss", "train_rmse", "test_loss", "test_rmse", "test_mae", "test_r2"):
            self.assertIsInstance(epoch[name], float, name)
        self.assertNotIn("test_accuracy", epoch)
        self.assertAlmostEqual(epoch["test_rmse"]**2, epoch["test_loss"], delta=1e-6 * epoch["test_loss"])

    def test_of_labels(self):
        write_npy(self.folder / "on.npy", "|u1", (300, 3), [int(i % 3 == k) for i in range(300) for k in range(3)])
        words = ["--data", "train.npy:on.npy", "--test-split", "0.2", "--loss", "bce", *MODEL, *SMALL]
        self.succeed(2, "train", *words, "--epochs", "2", "--output", "run")
        epoch = self.epochs_of("run")[-1]
        self.assertGreater(epoch["test_f1"], 0.7)
        self.assertIn("train_f1", epoch)
        weights = ["--weights", "run/model.safetensors", "--data", "train.npy:on.npy"]
        self.assertIn("precision", self.succeed(2, "evaluate", *weights).out)


class WhatARunKeeps(OwnData):
    def test_evaluate_takes_its_configuration_and_asks_for_what_is_missing(self):
        self.succeed(2, "train", *self.classes, "--test-data", "test.npy:test_labels.npy", "--epochs", "2", "--output",
                     "run")
        self.assertNotIn("digits", (self.folder / "run" / "config.cfg").read_text())
        weights = ["--weights", "run/model.safetensors"]
        shown = self.succeed(2, "evaluate", *weights, "--config", "run/config.cfg").out
        self.assertIn(f"loss      {self.epochs_of('run')[-1]['test_loss']:.6f}\n", shown)
        self.assertEqual(self.succeed(1, "evaluate", *weights, "--data", "test.npy:test_labels.npy").out, shown)
        self.assertEqual(read_metadata(self.folder / "run" / "model.safetensors")["lockstep.dataset"], "train.npy")
        self.expect_error(["run/model.safetensors", "train.npy", "--test-data"], "evaluate", *weights)

    def test_resumed_after_a_kill_it_ends_as_the_undisturbed_one(self):
        words = [*self.classes, "--test-split", "0.2"]
        whole = self.succeed(2, "train", *words, "--epochs", "400", "--output", "whole")
        process = start(2, "train", *words, "--epochs", "400", "--checkpoint-every", "5", "--output", "run",
                        folder=self.folder)
        wait_for(lambda: (self.folder / "run" / "checkpoint.safetensors").exists())
        for pid in rank_processes(process).values():
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        self.assertFalse((self.folder / "run" / "model.safetensors").exists(), "it was done too soon")
        data = bytearray((self.folder / "train.npy").read_bytes())
        data[-1] ^= 1
        for name, content in (("train.npy", bytes(data)), ("labels.npy", None)):
            with self.subTest(changed=name):
                before = (self.folder / name).read_bytes()
                changed = content or before[:-8] + bytes([before[-8] ^ 1]) + before[-7:]
                (self.folder / name).write_bytes(changed)
                self.expect_error("data", "train", "--resume", "--output", "run")
                (self.folder / name).write_bytes(before)
        for n in RANKS[-1:]:
            result = self.succeed(n, "train", "--resume", "--output", "run")
            self.assertIn("resumed after epoch", result.out)
            self.assertEqual(result.fingerprint, whole.fingerprint)


class Large(OwnData):
    def rows_without_room(self, name, kind, shape, size):
        path = self.folder / name
        path.write_bytes(npy_bytes(kind, shape, b""))
        os.truncate(path, path.stat().st_size + size)
        if path.stat().st_blocks * 512 > 1 << 20:
            self.skipTest("the file system has no sparse files")

    def test_forty_gigabytes_begin_at_once_and_take_no_memory_of_ones_own(self):
        samples = 10_000_000
        self.rows_without_room("x.npy", "<f4", (samples, 1000), 4000 * samples)
        self.rows_without_room("y.npy", "|u1", (samples,), samples)
        ours, theirs = pty.openpty()
        begin = time.monotonic()
        process = subprocess.Popen(
            command_line(2, "train", "--data", "x.npy:y.npy", "--classes", "3", *MODEL, *SMALL, "--output", "run"),
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"})
        os.close(theirs)
        shown, first = "", None
        while not (found := re.findall(r"step (\d+)/312500 ", shown)) or int(found[-1]) < 200:
            shown += os.read(ours, 4096).decode()
            if first is None and "step " in shown:
                first = time.monotonic() - begin
        pids = rank_processes(process).values()
        statuses = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in pids]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
        self.assertEqual(len(statuses), 2)
        for status in statuses:
            self.assertLess(int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)), 150 * 1024 * TIME_FACTOR)
        self.assertLess(first, 10 * TIME_FACTOR)


def read_idx(path):
    content = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    dimensions = struct.unpack(f">{content[3]}I", content[4:4 + 4 * content[3]])
    return dimensions, content[4 + 4 * content[3]:]


class Mnist(OwnData):
    """The same images, in whatever file and order, are the same training."""

    def setUp(self):
        super().setUp()
        directory = os.environ.get("LOCKSTEP_DATA_DIR")
        if not directory:
            self.skipTest("LOCKSTEP_DATA_DIR is not set")
        self.directory = pathlib.Path(directory)
        self.words = ["--model", "batchnorm, flatten, linear 20, relu, batchnorm, linear 10", "--train-samples", "1000",
                      "--epochs", "1", *SMALL, "--classes", "10"]
        self.expected = self.succeed(2, "train", "--dataset", "mnist", "--data-dir", directory, *self.words,
                                     "--test-samples", "100").fingerprint
        (count, height, width), self.pixels = read_idx(self.directory / "train-images-idx3-ubyte")
        self.shape = (count, height, width)
        _, labels = read_idx(self.directory / "train-labels-idx1-ubyte")
        (self.folder / "y.npy").write_bytes(npy_bytes("|u1", (count,), labels))

    def check(self, data, *words):
        for n in RANKS[-1:]:
            result = self.succeed(n, "train", "--data", data, *self.words, *words)
            self.assertEqual(result.fingerprint, self.expected)

    def test_as_npy(self):
        count, height, width = self.shape
        for shape, words in ((self.shape, []), ((count, height, width, 1), []),
                             ((count, 1, height, width), ["--channels-first", "true"])):
            with self.subTest(shape=shape):
                (self.folder / "x.npy").write_bytes(npy_bytes("|u1", shape, self.pixels))
                self.check("x.npy:y.npy", *words)

    def test_in_fortran_order(self):
        count, height, width = self.shape
        size = height * width
        columns = b"".join(self.pixels[row * width + column::size] for column in range(width) for row in range(height))
        (self.folder / "x.npy").write_bytes(npy_bytes("|u1", self.shape, columns, fortran=True))
        self.check("x.npy:y.npy")

    def test_as_hdf5(self):
        (self.folder / "x.npy").write_bytes(npy_bytes("|u1", self.shape, self.pixels))
        write_hdf5(self.folder / "mnist.h5", {"x": self.folder / "x.npy", "y": self.folder / "y.npy"})
        self.check("mnist.h5:/x:/y")


if __name__ == "__main__":
    unittest.main(verbosity=2)
