"""Arrays that are damaged, do not fit or are not there: one clear line that names the file, on any number of ranks."""
import os
import signal
import time
import unittest
import zipfile

from arrays import npy_bytes, write_hdf5, write_npy
from launcher import (RANKS, TIME_FACTOR, LauncherTest, finish, rank_processes, read_metadata, read_safetensors, run,
                      start, wait_for, write_safetensors)

N = 48
MODEL = ["--model", "batchnorm, linear 8, relu, linear 3"]
SHORT = ["--replicas", "3", "--batch-size", "8", "--epochs", "1"]
QUICK = [*MODEL, *SHORT]
EDGES = [RANKS[0], RANKS[-1]]


class BadData(LauncherTest):
    def setUp(self):
        super().setUp()
        self.inputs = [(7 * i % 11) / 3 - 1 for i in range(4 * N)]
        self.write("x.npy", "<f4", (N, 4), self.inputs)
        self.write("y.npy", "|u1", (N,), [i % 3 for i in range(N)])
        self.write("v.npy", "<f4", (N, 3), self.inputs[:3 * N])
        self.whole = (self.folder / "x.npy").read_bytes()

    def write(self, name, *array):
        write_npy(self.folder / name, *array)

    def refuse(self, what, data, *words, ranks=None):
        self.expect_error(what, "train", "--data", data, *QUICK, *words, ranks=ranks or [RANKS[-1]])


    def expect_refusal(self, ranks, data, *words):
        result = run(ranks, "train", "--data", data, *QUICK, *words, folder=self.folder)
        self.check_error([], result)
        return result


class Arrays(BadData):
    """What is wrong with one file. Each rank reads headers for itself: one number of ranks stands for all."""

    def test_a_header_that_lies(self):
        values = self.whole[-16 * N:]
        for name, shape, what in (("more", (N + 1, 4), ["49x4", "784 bytes", "768"]), ("fewer", (N - 1, 4), ["47x4"]),
                                  ("huge", (2**40, 2**40), ["more than any file can hold"]),
                                  ("negative", (-1, 4), ["negative"]), ("none", (0, 4), ["no values"]),
                                  ("scalar", (), ["a single value"])):
            with self.subTest(name):
                content = values if name != "none" else b""
                content = content if name != "scalar" else values[:4]
                (self.folder / f"{name}.npy").write_bytes(npy_bytes("<f4", shape, content))
                self.refuse([f"{name}.npy", *what], f"{name}.npy:y.npy")

    def test_values_of_a_type_that_is_none_of_ours(self):
        for kind, shape, what in (("<c8", (N, 2), "complex"), ("|O", (N, 2), "objects"), ("<U4", (N,), "texts")):
            with self.subTest(kind):
                (self.folder / "odd.npy").write_bytes(npy_bytes(kind, shape, self.whole[-16 * N:]))
                self.refuse(["odd.npy", what, "save" if kind == "<c8" else ".astype("], "odd.npy:y.npy")

    def test_a_file_that_was_cut(self):
        for length, what in ((len(self.whole) - 8, "the file was cut"), (40, "the file was cut"), (0, "empty")):
            (self.folder / "short.npy").write_bytes(self.whole[:length])
            self.refuse(["short.npy", what], "short.npy:y.npy")

    def test_what_is_no_array(self):
        (self.folder / "folder").mkdir()
        (self.folder / "table.csv").write_text("1,2\n")
        with zipfile.ZipFile(self.folder / "archive.npz", "w") as archive:
            archive.write(self.folder / "x.npy", "x.npy")
        for name, what in (("folder", ["a folder"]), ("nowhere.npy", ["no such file"]),
                           ("table.csv", ["text", "numpy.save"]), ("archive.npz", ["unpack", "numpy.load"])):
            self.refuse([name, *what], f"{name}:y.npy", ranks=EDGES)

    def test_in_hdf5(self):
        write_hdf5(self.folder / "a.h5", {"x": self.folder / "x.npy", "group/y": self.folder / "y.npy"})
        self.refuse(["a.h5", "no data set /y", "/group/y (48 of uint8)", "/x (48x4 of float32)"], "a.h5:/x:/y",
                    ranks=EDGES)
        self.refuse(["a.h5", "/group/y", "/x"], "a.h5")
        self.refuse(["a.h5", "/group is no data set"], "a.h5:/x:/group")
        whole = (self.folder / "a.h5").read_bytes()
        (self.folder / "a.h5").write_bytes(whole[:len(whole) // 2])
        self.refuse(["a.h5", "HDF5"], "a.h5:/x:/group/y")


class Values(BadData):
    """What is wrong with one value is met by the rank that reads it, and told by one of all."""

    def test_not_a_number(self):
        for value, what in ((float("nan"), "NaN"), (float("inf"), "infinite")):
            self.write("x.npy", "<f4", (N, 4), self.inputs[:4 * 7 + 2] + [value] + self.inputs[4 * 7 + 3:])
            self.refuse(["x.npy", "sample 7, feature 2", what], "x.npy:y.npy", ranks=EDGES)
        self.write("late.npy", "<f4", (N, 4), self.inputs[:-1] + [float("nan")])
        self.write("x.npy", "<f4", (N, 4), self.inputs)
        self.refuse(["late.npy", "sample 47, feature 3"], "x.npy:y.npy", "--test-data", "late.npy:y.npy")
        self.write("v.npy", "<f4", (N,), self.inputs[:N - 1] + [float("nan")])
        self.expect_error(["sample 47", "nan"], "train", "--data", "x.npy:v.npy", "--model", "linear 1", ranks=[2])

    def test_what_float_cannot_hold(self):
        self.write("x.npy", "<f8", (N, 4), self.inputs[:14] + [1e300] + self.inputs[15:])
        self.refuse(["x.npy", "sample 3, feature 2 is 1e+300", "float"], "x.npy:y.npy", ranks=EDGES)
        self.refuse(["x.npy", "feature 2", "too large to be standardized"], "x.npy:y.npy", "--input", "standardized",
                    ranks=EDGES)

    def test_a_fault_that_one_rank_meets_is_no_disagreement(self):
        self.write("late.npy", "<f4", (N, 4), self.inputs[:-1] + [float("nan")])
        for n in EDGES:
            result = self.expect_refusal(n, "x.npy:y.npy", "--test-data", "late.npy:y.npy")
            self.assertNotIn("agree", result.err, result)

    def test_labels(self):
        labels = [i % 3 for i in range(N)]
        for kind, value in (("<i8", -1), ("<i8", 70000), ("<f4", 1.5)):
            with self.subTest(value):
                self.write("y.npy", kind, (N,), labels[:5] + [value] + labels[6:])
                self.refuse(["y.npy", "sample 5", str(value), "whole numbers"], "x.npy:y.npy", "--loss",
                            "cross-entropy", ranks=EDGES)
        self.write("y.npy", "|u1", (N,), labels)
        self.refuse(["sample 2", "0 to 1"], "x.npy:y.npy", "--classes", "2", ranks=EDGES)

    def test_targets_that_are_not_on_or_off(self):
        self.write("on.npy", "|u1", (N, 3), [1] * 20 + [2] + [0] * (3 * N - 21))
        self.refuse(["sample 6", "is 2 at value 2", "mse"], "x.npy:on.npy", "--loss", "bce", ranks=EDGES)
        self.write("right.npy", "|u1", (N, 3), [0] * 3 * N)
        self.refuse(["sample 6", "is 2 at value 2"], "x.npy:right.npy", "--loss", "bce", "--test-data", "x.npy:on.npy")


class Fit(BadData):
    """Files that are sound, but not together."""

    def test_inputs_and_targets(self):
        self.write("less.npy", "|u1", (N - 1,), [0] * (N - 1))
        self.refuse(["less.npy", "47", "48", "one length"], "x.npy:less.npy", ranks=EDGES)
        self.refuse("3 arrays", "x.npy:y.npy:y.npy")
        self.refuse("no data", "x.npy:")
        for loss in ("mse", "cross-entropy", "bce"):
            self.refuse(["without targets", "x.npy:y.npy"], "x.npy", "--loss", loss)

    def test_training_and_test_data(self):
        self.write("wide.npy", "<f4", (N, 5), self.inputs + self.inputs[:N])
        self.refuse(["wide.npy", "inputs of 5", "of 4"], "x.npy:y.npy", "--test-data", "wide.npy:y.npy", ranks=EDGES)
        self.refuse(["3 target values", "3 classes"], "x.npy:y.npy", "--test-data", "x.npy:v.npy")
        self.refuse("without targets", "x.npy:y.npy", "--test-data", "x.npy")

    def test_loss_and_targets(self):
        self.refuse(["v.npy", "classes are one number"], "x.npy:v.npy", "--loss", "cross-entropy", ranks=EDGES)
        self.refuse(["3 outputs", "linear 1"], "x.npy:y.npy", "--loss", "mse")
        self.refuse(["label-smoothing", "cross-entropy"], "x.npy:v.npy", "--loss", "mse", "--label-smoothing", "0.1")
        self.refuse(["label-smoothing", "0.1", "cross-entropy smoothing 0.2"], "x.npy:y.npy", "--label-smoothing", "0.1",
                    "--loss", "cross-entropy smoothing 0.2")
        self.refuse(["classes", "v.npy", "values"], "x.npy:v.npy", "--classes", "3")
        self.refuse(["unknown loss", "huber"], "x.npy:v.npy", "--loss", "rmse")
        self.refuse("delta", "x.npy:v.npy", "--loss", "huber 0")

    def test_options(self):
        for share in ("0", "1", "2", "-0.1", "nan"):
            self.refuse(["test-split", "between 0 and 1", share], "x.npy:y.npy", "--test-split", share, ranks=[2])
        self.refuse("test-data", "x.npy:y.npy", "--test-split", "0.1", "--test-data", "x.npy:y.npy", ranks=EDGES)
        for name in ("mnist", "digits"):
            self.refuse(["data", name], "x.npy:y.npy", "--dataset", name, "--data-dir", ".")
        self.expect_error("--data", "train", "--test-data", "x.npy:y.npy", ranks=[2])
        self.expect_error(["--test-data", "--test-split"], "compare", "--data", "x.npy:y.npy", *MODEL, ranks=[2])
        self.refuse(["bytes", "standardized"], "x.npy:y.npy", "--input", "unit")
        self.refuse(["images", "4 values"], "x.npy:y.npy", "--augment-crop", "1")


class Cut(BadData):
    def test_while_it_is_trained_on(self):
        rows = 20000
        for n in EDGES:
            with self.subTest(ranks=n):
                self.write("long.npy", "<f4", (rows, 40), [0.5, 1, 2, 0.25, 3] * (8 * rows))
                self.write("long_y.npy", "|u1", (rows,), [i % 3 for i in range(rows)])
                process = start(n, "train", "--data", "long.npy:long_y.npy", *MODEL, "--replicas", "3", "--epochs",
                                "100000", "--output", f"run-{n}", folder=self.folder)
                wait_for(lambda: (self.folder / f"run-{n}" / "checkpoint.safetensors").exists())
                begin = time.monotonic()
                os.truncate(self.folder / "long.npy", 4096)
                self.check_error(["long.npy", "was cut while it was read", "4096 bytes"], finish(process, begin))


class Models(BadData):
    def setUp(self):
        super().setUp()
        self.succeed(2, "train", "--data", "x.npy:y.npy", *QUICK, "--output", "run")
        self.model = self.folder / "run" / "model.safetensors"
        self.predict = ["predict", "--weights", self.model, "--data", "x.npy"]

    def test_on_data_of_another_shape(self):
        self.write("wide.npy", "<f4", (N, 5), self.inputs + self.inputs[:N])
        for words in (["evaluate", "--data", "wide.npy:y.npy"], ["predict", "--data", "wide.npy"]):
            self.expect_error(["model.safetensors", "takes 4", "wide.npy", "are 5"], *words, "--weights", self.model,
                              ranks=EDGES)
        self.expect_error(["wide.npy", "x.npy:y.npy"], "predict", "--weights", self.model, "--data",
                          "wide.npy:x.npy:y.npy", ranks=[2])
        self.write("nan.npy", "<f4", (N, 4), self.inputs[:-1] + [float("nan")])
        self.expect_error(["nan.npy", "sample 47, feature 3"], "predict", "--weights", self.model, "--data", "nan.npy",
                          ranks=EDGES)
        self.assertFalse((self.folder / "predictions.npy").exists())

    def test_weights_that_do_not_say_what_they_belong_to(self):
        metadata = read_metadata(self.model)
        self.assertTrue(metadata)
        write_safetensors(self.folder / "bare.safetensors", read_safetensors(self.model))
        self.expect_error(["bare.safetensors", "does not say"], "predict", "--weights", "bare.safetensors", "--data",
                          "x.npy", ranks=EDGES)
        self.expect_error(["weights", "--weights"], "predict", "--data", "x.npy", ranks=[2])
        self.expect_error(["data", "--data"], "predict", "--weights", self.model, ranks=[2])

    def test_predictions_that_cannot_be_written(self):
        (self.folder / "there").mkdir()
        for output, what in (("nowhere/p.npy", "nowhere"), ("nowhere/p.h5", "nowhere"), ("there.npy/p.npy", "there"),
                             ("p.txt", ".npy"), ("p.npy:/x", ".npy")):
            self.expect_error(what, *self.predict, "--output", output, ranks=EDGES)
        (self.folder / "p.npy").mkdir()
        self.expect_error("p.npy", *self.predict, "--output", "p.npy", ranks=EDGES)
        self.assertEqual(list((self.folder / "p.npy").iterdir()), [])

    def test_predictions_never_replace_what_is_read_or_what_else_a_file_holds(self):
        x, model = self.whole, self.model.read_bytes()
        for output in ("x.npy", "./x.npy"):
            self.expect_error(["output", "read from"], *self.predict, "--output", output, ranks=EDGES)
        write_hdf5(self.folder / "a.h5", {"x": self.folder / "x.npy", "y": self.folder / "y.npy"})
        content = (self.folder / "a.h5").read_bytes()
        for data, output, what in (("a.h5:/x", "a.h5:/p", "read from"), ("x.npy", "a.h5:/p", "replaced"),
                                   ("x.npy", "a.h5", "replaced")):
            self.expect_error(["output", what], "predict", "--weights", self.model, "--data", data, "--output", output,
                              ranks=EDGES)
        self.assertEqual((self.folder / "x.npy").read_bytes(), x)
        self.assertEqual((self.folder / "a.h5").read_bytes(), content)
        self.assertEqual(self.model.read_bytes(), model)

    def test_predictions_are_numbers_or_there_are_none(self):
        self.write("far.npy", "<f4", (N, 4), self.inputs[:20] + [3e38, -3e38, 3e38, -3e38] + self.inputs[24:])
        self.succeed(2, "train", "--data", "x.npy:y.npy", "--model", "linear 8, linear 8, linear 3", *SHORT,
                     "--learning-rate", "1", "--output", "steep")
        self.expect_error(["far.npy", "sample 5", "not finite"], "predict", "--weights", "steep/model.safetensors",
                          "--data", "far.npy", "--output", "p.npy", ranks=EDGES)
        self.assertFalse((self.folder / "p.npy").exists())

    def test_evaluated_against_what_they_say_of_themselves(self):
        evaluate = ["evaluate", "--weights", self.model, "--data", "x.npy:y.npy"]
        self.expect_error(["--loss is mse", "cross-entropy"], *evaluate, "--loss", "mse", ranks=EDGES)
        self.expect_error(["--label-smoothing", "0.3"], *evaluate, "--label-smoothing", "0.3", ranks=EDGES)
        self.assertIn("samples   10\n", self.succeed(2, *evaluate, "--test-samples", "10").out)

    def test_a_killed_prediction_leaves_no_output(self):
        rows = 20_000_000  # zeros that take no room
        content = npy_bytes("<f4", (rows, 4), b"")
        (self.folder / "x.npy").write_bytes(content)
        os.truncate(self.folder / "x.npy", len(content) + 16 * rows)
        process = start(2, *self.predict, "--output", "p.npy", folder=self.folder)
        partial = wait_for(lambda: [f for f in self.folder.iterdir() if f.name.endswith(".partial")])
        for pid in wait_for(lambda: rank_processes(process)).values():
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        self.assertFalse((self.folder / "p.npy").exists())
        self.write("x.npy", "<f4", (N, 4), self.inputs)
        self.succeed(2, *self.predict, "--output", "p.npy")
        self.assertFalse(partial[0].exists(), "what the killed one left was not cleared away")


if __name__ == "__main__":
    unittest.main(verbosity=2)
