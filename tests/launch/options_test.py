"""Options, models and modes that make no sense end in one clear line on any number of ranks."""
import os
import unittest

from launcher import ANY_DIGITS, QUICK, SMALL_MODEL, TIME_FACTOR, LauncherTest


class Version(LauncherTest):
    def test_what_it_is_made_of(self):
        for word in ("--version", "version"):
            result = self.succeed(2, word)
            self.assertRegex(result.lines[0], r"^lockstep \d+\.\d+\.\d+$")
            self.assertEqual(len(result.lines), 4, result)  # once, not once a rank
            for line, pattern in zip(result.lines[1:], (r"^MPI: .+, standard \d\.\d$", r"^compiler: .+ \d+\.\d+.*, \w+$",
                                                        r"^instruction sets: +portable.*; in use: (\w+) \(kernels\), "
                                                        r"(\w+) \(products\)$")):
                self.assertRegex(line, pattern)

    def test_the_instruction_sets_in_use(self):
        os.environ["LOCKSTEP_INSTRUCTION_SET"] = "portable"
        self.addCleanup(os.environ.pop, "LOCKSTEP_INSTRUCTION_SET")
        self.assertIn("in use: portable (kernels), portable (products)", self.succeed(1, "--version").out)


class Words(LauncherTest):
    def test_unknown_words(self):
        self.expect_error("'frob' is no command", "frob")
        self.expect_error("--frobnicate", "train", "--frobnicate", "3")
        self.expect_error("'extra' is not expected", "train", "extra")
        self.expect_error("'--epoch'", "train", "--epoch", "3")  # no abbreviations
        self.expect_error("'--model' is missing", "train", "--model")
        self.expect_error("more than once", "train", "--epochs", "1", "--epochs", "2")

    def test_unknown_names(self):
        for option, name, hint in (("--bn", "globally", "sync, local, or group:K"), ("--bn", "group:", "group:K"),
                                   ("--dataset", "mnst", "digits, mnist, cifar10 and cifar100"),
                                   ("--optimizer", "adam", "sgd or adamw"), ("--schedule", "linear", "cosine"),
                                   ("--input", "bytes", "standardized"), ("--decay", "some", "weights"),
                                   ("--reduction", "quick", "fast"), ("--nesterov", "maybe", "true"),
                                   ("--bn-momentum", "often", "cumulative")):
            self.expect_error([name, hint], "train", *QUICK, option, name, ranks=[2])


class Models(LauncherTest):
    def test_unknown_or_broken_layers(self):
        self.expect_error(["'lineer 10'", "known are"], "train", "--model", "relu, lineer 10")
        for model, what in (("", "a layer is missing"), ("linear 10,", "a layer is missing"),
                            ("residual { linear 784", "'}' is missing"), ("linear 10 }", "unexpected"),
                            ("linear", "takes the number of outputs"), ("linear -10", "outputs must be"),
                            ("linear 99999999999999999999", "is not a number"), ("dropout nan, linear 10", "probability"),
                            ("residual { " * 5000, "nest more than"),
                            ("batchnorm 5, linear 10", "unknown setting '5'")):
            self.expect_error(["model", what], "train", "--model", model, ranks=[2])

    def test_a_last_layer_that_does_not_fit_the_classes(self):
        self.expect_error(["5 outputs", "10 classes", "linear 10"], "train", "--model", "batchnorm, linear 5")

    @unittest.skipIf(TIME_FACTOR > 1, "AddressSanitizer ends a process that asks for so much, by itself")
    def test_a_model_too_large_for_memory(self):
        self.expect_error("out of memory", "train", "--model", "linear 10000000, linear 10000000, linear 10",
                          ranks=[2])


class Numbers(LauncherTest):
    def test_negative_overflowing_and_no_numbers(self):
        for option, *values in (("--epochs", "-3", "0", "nan", "1.5", "99999999999999999999"),
                                ("--learning-rate", "nan", "inf", "-1", "1e400", "fast"),
                                ("--momentum", "nan", "1.5", "-0.1"), ("--weight-decay", "nan", "-1"),
                                ("--batch-size", "-3", "0"), ("--replicas", "-1", "0", "1000000000", "4294967298"),
                                ("--seed", "-1", "1e3", "18446744073709551616"), ("--bn-epsilon", "0", "nan", "-1"),
                                ("--bn-momentum", "2", "nan"), ("--precise-bn", "-1", "1000"),
                                ("--warmup-epochs", "nan", "-1", "11"), ("--timeout", "0", "nan", "-5"),
                                ("--checkpoint-every", "0"), ("--train-samples", "0", "-1"), ("--test-samples", "0"),
                                ("--augment-crop", "-1", "1000000000000")):
            for value in values:
                self.expect_error([], "train", *SMALL_MODEL, "--train-samples=96", "--epochs=1",
                                  *self.replacing(option, value), ranks=[2])

    def replacing(self, option, value):
        """An option may be given once only: those of the common arguments are taken from a file instead."""
        return ["--config", self.write_config(option), option, value]

    def write_config(self, but):
        path = self.folder / "some.cfg"
        path.write_text("".join(f"{name} = {value}\n" for name, value in (("bn", "sync"), ("test-samples", "40"))
                                if f"--{name}" != but))
        return path

    def test_a_time_out_beyond_all_clocks_is_none(self):
        self.succeed(2, "train", *QUICK, "--timeout", "1e300")

    def test_a_batch_beyond_the_data_is_the_data(self):
        self.succeed(2, "train", *SMALL_MODEL, "--epochs", "1", "--train-samples", "96", "--test-samples", "40",
                     "--batch-size", "9223372036854775807")


class Replicas(LauncherTest):
    def test_fewer_replicas_than_ranks(self):
        self.expect_error(["1 replicas", "2 ranks"], "train", *QUICK, "--replicas", "1", ranks=[2])
        self.expect_error(["2 replicas", "3 ranks"], "train", *QUICK, "--replicas", "2", ranks=[3])

    def test_more_replicas_than_samples(self):
        self.expect_error(["97 replicas", "96 training samples"], "train", *QUICK, "--replicas", "97")

    def test_a_group_that_does_not_tile_the_replicas(self):
        self.expect_error(["groups of 4", "6 replicas"], "train", *QUICK, "--replicas", "6", "--bn", "group:4")
        self.expect_error("groups of 8", "train", *QUICK, "--replicas", "6", "--bn", "group:8", ranks=[2])

    def test_one_value_per_channel_in_a_statistics_group(self):
        small = SMALL_MODEL + ["--replicas", "4", "--batch-size", "1", "--test-samples", "40", "--bn", "local"]
        self.expect_error(["layer 0", "batchnorm", "larger batch-size", "sync"], "train", *small, "--train-samples", "96")
        self.expect_error("one value per channel", "train", *SMALL_MODEL, "--train-samples", "1", "--replicas", "1",
                          ranks=[1])

    def test_one_sample_per_replica_is_fine_where_statistics_are_shared(self):
        for mode in ("sync", "group:2"):
            self.succeed(2, "train", *SMALL_MODEL, "--replicas", "4", "--batch-size", "1", "--epochs", "1",
                         "--train-samples", "96", "--test-samples", "40", "--bn", mode)


class Configurations(LauncherTest):
    def write(self, text):
        path = self.folder / "einstellungen-ä.cfg"
        path.write_bytes(text.encode())
        return path

    def test_files_that_do_not_parse(self):
        self.expect_error("cannot be read", "train", "--config", "missing.cfg")
        self.expect_error("cannot be read", "train", "--config", self.folder, ranks=[2])
        for text, what in (("learning-rat = 0.1\n", "learning-rat"), ("epochs = 1\nepochs = 2\n", "epochs"),
                           ("epochs = many\n", "many"), ("epochs\n", "epochs"), ("[section]\nepochs = 1\n", "section"),
                           ("epochs = \n", "epochs"), ("\x00\x01\x02", "")):
            self.expect_error([what], "train", "--config", self.write(text), ranks=[2])

    def test_windows_line_ends_comments_and_spaces(self):
        path = self.write("# Größe\r\n\r\n  epochs=1   # one\r\nmodel = batchnorm,linear 10\r\ntrain-samples = 96\r\n")
        result = self.succeed(2, "train", "--config", path, "--test-samples", "40", "--output", "läufe/ä ö")
        self.assertIn("  model             batchnorm, linear 10", result.lines)
        self.assertTrue((self.folder / "läufe" / "ä ö" / "model.safetensors").exists())

    def test_the_command_line_overrides_the_file(self):
        path = self.write("seed = 3\nepochs = 5\nbatch-size = 16\n")
        result = self.succeed(2, "train", "--config", path, "--epochs", "1", "--train-samples", "96",
                              "--test-samples", "40", *SMALL_MODEL)
        self.assertIn("  seed              3", result.lines)
        self.assertIn("  epochs            1", result.lines)
        self.assertIn("  batch-size        16", result.lines)

    def test_values_that_config_cfg_could_not_give_back(self):
        self.expect_error("data-dir", "train", *QUICK, "--data-dir", "run #1", ranks=[2])
        result = self.succeed(2, "train", *ANY_DIGITS, "--epochs", "1", "--model", "batchnorm,\n  linear   10\n")
        self.assertIn("  model             batchnorm, linear 10", result.lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
