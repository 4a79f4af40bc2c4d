"""Weights say what they belong to: what evaluation and training make of that."""
import struct
import unittest

from launcher import (RANKS, LauncherTest, read_metadata, read_metrics, read_safetensors, write_idx_data,
                      write_safetensors)

MODEL = "batchnorm, linear 12, relu, batchnorm, linear 10"
SMALL = ["--train-samples", "96", "--test-samples", "40", "--batch-size", "8", "--epochs", "1"]


class Evaluate(LauncherTest):
    def setUp(self):
        super().setUp()
        write_idx_data(self.folder / "data")
        self.data = ["--dataset", "mnist", "--data-dir", "data"]
        self.succeed(2, "train", *self.data, "--model", MODEL, "--input", "standardized", "--bn-epsilon", "0.001",
                     "--epochs", "2", "--batch-size", "8", "--output", "run")
        self.weights = ["--weights", "run/model.safetensors"]

    def test_needs_the_weights_alone(self):
        epoch = read_metrics(self.folder / "run" / "metrics.jsonl")[-1]
        for name in ("model", "checkpoint"):
            for ranks in RANKS:
                # Also the data set is the one that the weights were trained on; only where it is must be said.
                result = self.succeed(ranks, "evaluate", "--weights", f"run/{name}.safetensors", "--data-dir", "data")
                self.assertIn(f"  loss      {epoch['test_loss']:.6f}", result.lines)
                self.assertIn(f"  accuracy  {100 * epoch['test_accuracy']:.2f} %", result.lines)
                self.assertIn("  input             standardized", result.lines)
                self.assertIn("  dataset           mnist", result.lines)
        self.expect_error(["mnist", "data-dir"], "evaluate", *self.weights, ranks=[2])

    def test_the_numbers_of_the_input_come_from_the_file(self):
        expected = self.succeed(2, "evaluate", *self.weights, "--data-dir", "data").out
        self.assertEqual(self.succeed(2, "evaluate", *self.weights, "--data-dir", "data", "--train-samples", "3").out,
                         expected)

    def test_options_that_agree_are_fine_and_those_that_contradict_are_named(self):
        self.succeed(2, "evaluate", "--config", "run/config.cfg", *self.weights)
        self.succeed(2, "evaluate", *self.data, *self.weights, "--model", MODEL.replace(", ", ",  "), "--classes", "10")
        for option, here, there in (("--input", "unit", "standardized"), ("--bn-epsilon", "1e-05", "0.001"),
                                    ("--model", "batchnorm, linear 10", MODEL), ("--classes", "11", "10")):
            self.expect_error([option, here, there, "model.safetensors"], "evaluate", *self.data, *self.weights, option,
                              here, ranks=[1, 2])
        (self.folder / "other.cfg").write_text("input = raw\n")
        self.expect_error(["--input", "raw", "standardized"], "evaluate", "--config", "other.cfg", *self.data,
                          *self.weights, ranks=[2])

    def test_data_of_another_shape(self):
        self.expect_error(["5x5x1", "28x28x1"], "evaluate", "--dataset", "digits", *self.weights)

    def test_weights_that_say_nothing_need_the_options(self):
        write_safetensors(self.folder / "mere.safetensors", read_safetensors(self.folder / "run" / "model.safetensors"))
        mere = ["evaluate", *self.data, "--weights", "mere.safetensors"]
        result = self.succeed(2, *mere, "--model", MODEL, "--input", "standardized", "--bn-epsilon", "0.001")
        self.assertEqual(result.out.replace("mere.safetensors", "run/model.safetensors"),
                         self.succeed(2, "evaluate", *self.data, *self.weights).out)
        self.expect_error("mere.safetensors", *mere, ranks=[2])

    def test_damaged_metadata(self):
        metadata = read_metadata(self.folder / "run" / "model.safetensors")
        for key, value in (("lockstep.input_divisor", "0"), ("lockstep.model", "linear"), ("lockstep.epsilon", "x")):
            write_safetensors(self.folder / "bad.safetensors",
                              read_safetensors(self.folder / "run" / "model.safetensors"), metadata | {key: value})
            self.expect_error(["bad.safetensors", "metadata"], "evaluate", *self.data, "--weights", "bad.safetensors",
                              ranks=[2])

    def test_weights_whose_network_gives_values_that_are_not_finite(self):
        tensors = read_safetensors(self.folder / "run" / "model.safetensors")
        kind, shape, values = tensors["4.weight"]
        tensors["4.weight"] = (kind, shape, struct.pack("<f", 3e38) * (len(values) // 4))
        write_safetensors(self.folder / "huge.safetensors", tensors,
                          read_metadata(self.folder / "run" / "model.safetensors"))
        self.expect_error(["huge.safetensors", "not finite"], "evaluate", "--data-dir", "data", "--weights",
                          "huge.safetensors")


class InitFrom(LauncherTest):
    def setUp(self):
        super().setUp()
        self.succeed(2, "train", *SMALL, "--model", MODEL, "--input", "standardized", "--output", "run")
        self.train = ["train", *SMALL, "--init-from", "run/model.safetensors"]

    def test_an_input_that_nobody_asked_to_change(self):
        self.expect_error(["standardized", "unit", "--input"], *self.train, "--model", MODEL)
        self.succeed(2, "train", *SMALL, "--model", MODEL, "--bn-epsilon", "0.001", "--output", "other")
        self.expect_error(["--bn-epsilon", "0.001", "1e-05"], "train", *SMALL, "--model", MODEL, "--init-from",
                          "other/model.safetensors", ranks=[2])
        result = self.succeed(2, *self.train, "--model", MODEL, "--input", "unit", "--bn-epsilon", "0.001")
        self.assertIn("were trained with input standardized, this run has unit", result.out)
        self.assertIn("were trained with bn-epsilon 1e-05, this run has 0.001", result.out)
        result = self.succeed(2, *self.train, "--model", MODEL, "--input", "standardized")
        self.assertNotIn("were trained", result.out)

    def test_inputs_standardized_by_other_data(self):
        words = [word if word != "96" else "200" for word in self.train]
        self.assertIn("standardized by other data", self.succeed(2, *words, "--model", MODEL, "--input", "standardized").out)

    def test_another_number_of_classes(self):
        other = [*self.train, "--input", "standardized", "--classes", "12", "--model", MODEL.replace("10", "12")]
        self.expect_error(["4.weight", "[10, 12]", "[12, 12]"], *other)
        fingerprints = set()
        for ranks in RANKS:
            result = self.succeed(ranks, *other, "--replicas", "4", "--init-partial", "true", "--output", f"run-{ranks}")
            self.assertIn("4.weight ([10, 12], the model has [12, 12]), 4.bias ([10], the model has [12])", result.out)
            self.assertIn("10 of 12 tensors", result.out)
            fingerprints.add(result.fingerprint)
        self.assertEqual(len(fingerprints), 1)
        self.succeed(2, "train", "--config", f"run-{RANKS[0]}/config.cfg", "--output", "again")

    def test_what_else_does_not_fit(self):
        deeper = [*self.train, "--input", "standardized", "--init-partial", "true", "--model",
                  MODEL.replace("linear 10", "linear 11, relu, batchnorm, linear 10")]
        result = self.succeed(2, *deeper)
        self.assertIn("not in it, and left at their initial values: 6.weight", result.out)
        self.expect_error("nothing in it fits", *self.train, "--input", "standardized", "--init-partial", "true",
                          "--model", "linear 11, linear 10", ranks=[1, 2])
        self.expect_error(["init-partial", "--init-from"], "train", *SMALL, "--init-partial", "true", ranks=[2])
        self.expect_error(["init-partial", "maybe"], *self.train, "--init-partial", "maybe", ranks=[2])

    def test_a_study_says_so_too(self):
        study = ["compare", "--train-samples", "96", "--test-samples", "40", "--epochs", "1", "--init-from",
                 "run/model.safetensors", "--modes", "sync", "--batch-sizes", "8", "--global-batch", "16", "--seeds", "1",
                 "--classes", "12", "--model", MODEL.replace("10", "12")]
        self.expect_error(["standardized", "unit"], *study, ranks=[2])
        self.assertIn("10 of 12 tensors", self.succeed(2, *study, "--input", "unit", "--init-partial", "true").out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
