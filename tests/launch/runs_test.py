"""A run from the command line: what it prints, what its folder holds, and how it is continued."""
import math
import os
import pty
import signal
import subprocess
import time
import unittest

from launcher import (LAUNCHER, MPIRUN, QUICK, RANKS, SMALL_MODEL, LauncherTest, command_line, finish,
                      rank_processes, read_metrics, read_safetensors, start, wait_for)

RECIPE = ["--train-samples", "203", "--test-samples", "101", "--batch-size", "4", "--replicas", "6", "--bn", "group:2",
          "--model", "batchnorm, linear 12, relu, batchnorm, dropout 0.1, linear 10", "--schedule", "cosine",
          "--weight-decay", "0.01", "--epochs", "6"]


def losses(folder):
    return [(entry["epoch"], entry["step"], entry["loss"]) for entry in read_metrics(folder / "metrics.jsonl")
            if entry["kind"] == "step"]


class Help(LauncherTest):
    def test_without_a_command_and_for_each_command(self):
        for words in ([], ["--help"], ["-h"], ["help"]):
            result = self.succeed(2, *words)
            self.assertIn("mpirun -n RANKS lockstep train", result.out)
            self.assertEqual(result.out.count("mpirun -n RANKS lockstep train"), 1, "one rank speaks")
        for command in ("train", "evaluate"):
            for word in ("--help", "-h"):
                result = self.succeed(2, command, word)
                for text in ("Data:", "Network:", "--dataset TEXT (=digits)", "--model LAYERS (=batchnorm, linear 300"):
                    self.assertIn(text, result.out)
        for group in ("Batch normalization:", "Training:", "Run:", "--learning-rate X (=0.1)", "--bn NAME (=sync)"):
            self.assertIn(group, self.succeed(1, "train", "--help").out)


class RunFolder(LauncherTest):
    def test_holds_what_the_run_was(self):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                run = self.folder / f"run-{ranks}"
                result = self.succeed(ranks, "train", *RECIPE, "--seed", "7", "--output", run)
                self.assertEqual(sorted(file.name for file in run.iterdir()),
                                 ["checkpoint-previous.safetensors", "checkpoint.safetensors", "config.cfg",
                                  "metrics.jsonl", "model.safetensors"])
                self.assertIn("bn = group:2\n", (run / "config.cfg").read_text())
                self.assertIn("replicas = 6\n", (run / "config.cfg").read_text())
                tensors = read_safetensors(run / "model.safetensors")
                self.assertEqual({name: tensor[1] for name, tensor in tensors.items()}, {
                    "0.weight": [784], "0.bias": [784], "0.running_mean": [784], "0.running_var": [784],
                    "0.num_batches_tracked": [], "1.weight": [12, 784], "1.bias": [12], "3.weight": [12],
                    "3.bias": [12], "3.running_mean": [12], "3.running_var": [12], "3.num_batches_tracked": [],
                    "5.weight": [10, 12], "5.bias": [10]})
                self.check_metrics(run, result)
                self.assertTrue(result.fingerprint)

    def check_metrics(self, run, result):
        entries = read_metrics(run / "metrics.jsonl")
        steps = [entry for entry in entries if entry["kind"] == "step"]
        epochs = [entry for entry in entries if entry["kind"] == "epoch"]
        self.assertEqual(len(steps), 6 * 9)  # ⌈203 / 24⌉ steps
        self.assertEqual(len(epochs), 6)
        for step in steps:
            self.assertEqual(set(step), {"kind", "epoch", "step", "loss"})
        for number, epoch in enumerate(epochs, 1):
            self.assertEqual(set(epoch), {"kind", "epoch", "train_loss", "train_accuracy", "test_loss",
                                          "test_accuracy", "test_top5", "seconds", "samples_per_second",
                                          "communication_seconds"})
            self.assertEqual(epoch["epoch"], number)
            self.assertTrue(all(math.isfinite(value) for key, value in epoch.items() if key != "kind"))
            self.assertIn(f"{100 * epoch['test_accuracy']:6.2f} %", result.out)

    def test_the_same_on_any_number_of_ranks(self):
        fingerprints = {}
        for ranks in (1, 2, 3, 5):
            run = self.folder / str(ranks)
            fingerprints[ranks] = (self.succeed(ranks, "train", *RECIPE, "--output", run).fingerprint, losses(run))
        for ranks in (2, 3, 5):
            self.assertEqual(fingerprints[ranks], fingerprints[1])

    def test_is_not_overwritten(self):
        first = self.succeed(2, "train", *QUICK, "--output", "run")
        before = {file.name: file.read_bytes() for file in (self.folder / "run").iterdir()}
        self.expect_error(["run", "holds a run already", "--resume"], "train", *QUICK, "--output", "run")
        self.assertEqual({file.name: file.read_bytes() for file in (self.folder / "run").iterdir()}, before)
        again = self.succeed(2, "train", "--resume", "--output", "run")  # complete: nothing is left to do
        self.assertEqual(again.fingerprint, first.fingerprint)

    def test_has_a_fresh_name_by_default(self):
        for name in ("digits-sync", "digits-sync-2"):
            self.succeed(2, "train", *QUICK)
            self.assertTrue((self.folder / "runs" / name / "model.safetensors").exists())

    def test_its_configuration_starts_the_same_run_again(self):
        first = self.succeed(2, "train", *RECIPE, "--output", "run")
        again = self.succeed(3, "train", "--config", "run/config.cfg", "--output", "again")
        self.assertEqual(again.fingerprint, first.fingerprint)


class Resume(LauncherTest):
    def setUp(self):
        super().setUp()
        self.whole = self.folder / "whole"
        self.fingerprint = self.succeed(2, "train", *RECIPE, "--output", self.whole).fingerprint

    def test_with_more_epochs_on_other_numbers_of_ranks(self):
        recipe = [word if word != "cosine" else "constant" for word in RECIPE]
        whole = self.succeed(2, "train", *recipe, "--output", "constant")
        run = self.folder / "short"
        self.succeed(3, "train", *recipe[:-1], "2", "--output", run)
        self.succeed(1, "train", "--resume", "--output", run, "--epochs", "5")
        last = self.succeed(2, "train", "--resume", "--output", run, "--epochs", "6")
        self.assertEqual(last.fingerprint, whole.fingerprint)
        self.assertEqual(losses(run), losses(self.folder / "constant"))

    def test_after_a_kill_in_the_middle_of_an_epoch(self):
        recipe = [*RECIPE[:-1], "150"]  # long enough to be killed before it ends
        whole = self.folder / "undisturbed"
        fingerprint = self.succeed(2, "train", *recipe, "--output", whole).fingerprint
        for ranks, others in ((2, 3), (3, 1)):
            run = self.folder / f"killed-{ranks}"
            process = start(ranks, "train", *recipe, "--output", run, folder=self.folder)
            pids = wait_for(lambda: (run / "checkpoint.safetensors").exists() and rank_processes(process))
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)
            finish(process, time.monotonic())
            self.assertFalse((run / "model.safetensors").exists(), "it was done too soon")
            with open(run / "metrics.jsonl", "a", encoding="ascii") as file:
                file.write('{"kind":"step","epoch":6,"st')  # torn
            result = self.succeed(others, "train", "--resume", "--output", run)
            self.assertEqual(result.fingerprint, fingerprint)
            self.assertEqual(losses(run), losses(whole))

    def test_with_other_settings_is_an_error(self):
        self.expect_error("other settings", "train", "--resume", "--output", "whole", "--learning-rate", "0.5")
        self.expect_error("other settings", "train", "--resume", "--output", "whole", "--replicas", "12", ranks=[2])
        self.expect_error("--output", "train", "--resume", ranks=[2])
        self.expect_error("nothing to resume", "train", "--resume", "--output", "nowhere", ranks=[2])

    def test_from_a_damaged_checkpoint_is_an_error(self):
        checkpoint = self.whole / "checkpoint.safetensors"
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
        (self.whole / "checkpoint-previous.safetensors").unlink()
        self.expect_error("checkpoint.safetensors", "train", "--resume", "--output", "whole")


class Evaluate(LauncherTest):
    def test_prints_what_the_last_epoch_had(self):
        self.succeed(2, "train", *RECIPE, "--output", "run")
        epoch = read_metrics(self.folder / "run" / "metrics.jsonl")[-1]
        for ranks in RANKS:
            result = self.succeed(ranks, "evaluate", "--config", "run/config.cfg", "--weights", "run/model.safetensors")
            self.assertIn("  samples   101", result.lines)
            self.assertIn(f"  loss      {epoch['test_loss']:.6f}", result.lines)
            self.assertIn(f"  accuracy  {100 * epoch['test_accuracy']:.2f} %", result.lines)
            rows = [list(map(int, line.split()[1:11])) for line in result.lines[-10:]]
            self.assertEqual(sum(map(sum, rows)), 101)
            self.assertEqual(sum(rows[k][k] for k in range(10)), round(101 * epoch["test_accuracy"]))


class ProgressBar(LauncherTest):
    OPTIONS = ["train", *SMALL_MODEL, "--train-samples", "1500", "--batch-size", "4", "--epochs", "2"]

    def test_is_absent_where_output_is_no_terminal(self):
        for ranks in RANKS:
            self.assertNotIn("[=", self.succeed(ranks, *self.OPTIONS).out)

    def output_on_a_terminal(self, command, name):
        ours, theirs = pty.openpty()
        with open(self.folder / "errors", "wb") as errors, \
                subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=errors,
                                 env=os.environ | {"TERM": name}) as process:
            os.close(theirs)
            output = b""
            while True:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # the other end is closed
                    break
                output += part
            self.assertEqual(process.wait(), 0, (self.folder / "errors").read_text())
        os.close(ours)
        return output.decode()

    def test_is_there_on_a_terminal(self):
        for ranks in RANKS:
            self.assertIn("step ", self.output_on_a_terminal(command_line(ranks, *self.OPTIONS), "xterm"))
        piped = [MPIRUN, "-n", "1", "sh", "-c", f"{LAUNCHER} \"$@\" | cat", "sh", *self.OPTIONS]
        self.assertNotIn("step ", self.output_on_a_terminal(piped, "xterm"))
        alone = [LAUNCHER, *self.OPTIONS]
        self.assertIn("step ", self.output_on_a_terminal(alone, "xterm"))
        self.assertNotIn("step ", self.output_on_a_terminal(alone, "dumb"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
