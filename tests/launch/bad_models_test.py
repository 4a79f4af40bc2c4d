"""Models that do not fit the data, or are not there, and predictions: complete, of numbers, and in nobody's way."""
import os
import signal
import unittest

from arrays import EDGES, N, QUICK, SHORT, SmallArrays, npy_bytes, write_hdf5
from launcher import rank_processes, read_metadata, read_safetensors, start, wait_for, write_safetensors


class Models(SmallArrays):
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

    def test_of_bytes_on_values_that_are_none(self):
        self.write("bytes.npy", "|u1", (N, 4), [i % 256 for i in range(4 * N)])
        self.succeed(2, "train", "--data", "bytes.npy:y.npy", *QUICK, "--output", "bytes")
        weights = ["--weights", "bytes/model.safetensors"]
        for words in (["evaluate", "--data", "x.npy:y.npy"], ["predict", "--data", "x.npy"]):
            self.expect_error(["x.npy", "are no bytes"], *words, *weights, ranks=EDGES)

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
