"""Arrays that are damaged, do not fit or are not there: one clear line that names the file, on any number of ranks."""
import os
import time
import unittest
import zipfile

from arrays import EDGES, MODEL, N, QUICK, SmallArrays, npy_bytes, write_hdf5
from launcher import RANKS, TIME_FACTOR, finish, run, start, wait_for

class BadData(SmallArrays):
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
        self.write("bytes.npy", "|u1", (N, 4), [i % 256 for i in range(4 * N)])
        for train, test in (("x.npy", "bytes.npy"), ("bytes.npy", "x.npy")):
            self.refuse([test, "bytes", "same type"], f"{train}:y.npy", "--test-data", f"{test}:y.npy", ranks=EDGES)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
