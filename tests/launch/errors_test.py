"""What ranks find wrong, apart or alike, before they train or while they do: one line, the same on every number of them."""
import subprocess
import time
import unittest

from launcher import LAUNCHER, MPIRUN, QUICK, RANKS, SMALL_MODEL, WATCHDOG_SECONDS, LauncherTest, Result


class Disagreement(LauncherTest):
    """Rank 0 is started with one command line, the last rank with another."""

    def start_apart(self, first, last, ranks, program=(LAUNCHER,), last_program=(LAUNCHER,)):
        begin = time.monotonic()
        done = subprocess.run(
            [MPIRUN, "--seconds", str(WATCHDOG_SECONDS), "-n", str(ranks - 1), *program, *first, ":", "-n", "1",
             *last_program, *last],
            cwd=self.folder, text=True, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def test_in_settings_data_or_command(self):
        train, help_text = ["train", *QUICK], ["train", "--help"]
        for first, last, what in ((["--seed", "1"], ["--seed", "2"], ["seed: 1 on rank 0", "2 on rank "]),
                                  (["--replicas", "4"], ["--replicas", "6"], ["replicas: 4 on rank 0", "6 on rank "]),
                                  (["--bn", "sync"], ["--bn", "local"], ["bn: sync on rank 0", "local on rank "]),
                                  (["--timeout", "9"], ["--timeout", "8"], ["timeout"])):
            for ranks in (n for n in RANKS if n > 1):
                with self.subTest(first=first, last=last, ranks=ranks):
                    result = self.start_apart(train + first, train + last, ranks)
                    self.check_error(["do not agree", f" on rank {ranks - 1}"] + what, result)
        evaluate = ["evaluate", "--weights", "w"]
        for first, last in ((train, help_text), (help_text, train), (train, evaluate), (train, ["--help"])):
            self.check_error("do not agree", self.start_apart(first, last, 2))

    def test_in_the_instruction_set_that_the_environment_names(self):
        train = ["train", *QUICK]
        forced = ["env", "LOCKSTEP_INSTRUCTION_SET=portable", LAUNCHER]
        unset = ["env", "-u", "LOCKSTEP_INSTRUCTION_SET", LAUNCHER]
        for ranks in (n for n in RANKS if n > 1):
            for first, last, where in ((forced, unset, ["portable on rank 0", "(not set) on rank"]),
                                       (unset, forced, ["(not set) on rank 0", "portable on rank"])):
                result = self.start_apart(train, train, ranks, first, last)
                self.check_error(["LOCKSTEP_INSTRUCTION_SET"] + where, result)
        unknown = ["env", "LOCKSTEP_INSTRUCTION_SET=mmx", LAUNCHER]
        self.check_error(["'mmx' is unknown"], self.start_apart(train, train, 2, unknown, unknown))

    def test_where_only_one_rank_has_an_error(self):
        train = ["train", *QUICK]
        for first, last in ((train, train + ["--bn", "no"]), (train + ["--bn", "no"], train)):
            for ranks in (n for n in RANKS if n > 1):
                self.check_error("'no' is no mode", self.start_apart(first, last, ranks))


class Numbers(LauncherTest):
    def test_a_loss_that_is_no_longer_finite_names_the_step(self):
        self.expect_error(["no longer finite", "epoch 1, step 1", "learning rate"], "train", *QUICK,
                          "--learning-rate", "1e30")

    def test_a_test_loss_that_is_not_finite_is_not_saved(self):
        self.expect_error(["no longer finite", "after epoch 1"], "train", *SMALL_MODEL, "--train-samples", "16",
                          "--test-samples", "40", "--epochs", "1", "--learning-rate", "1e308", "--output", "run",
                          ranks=[2])
        self.assertFalse((self.folder / "run" / "checkpoint.safetensors").exists())


class Output(LauncherTest):
    def test_a_folder_that_cannot_be_made(self):
        (self.folder / "file").write_text("in the way")
        self.expect_error(["file", "cannot be made"], "train", *QUICK, "--output", "file")
        # The last one makes an error that is longer than what ranks tell each other of it.
        for name in ("file/run", "x" * 300, "/".join(["file", *["x" * 250] * 5])):
            self.expect_error("cannot be made", "train", *QUICK, "--output", name, ranks=[2])

    def test_files_that_cannot_be_written(self):
        for name in ("config.cfg", "metrics.jsonl", "checkpoint.safetensors", "model.safetensors"):
            for ranks in RANKS:
                with self.subTest(name=name, ranks=ranks):
                    run = self.folder / f"{name}-{ranks}"
                    (run / name / "in the way").mkdir(parents=True)
                    self.expect_error(run.name, "train", *QUICK, "--output", run, ranks=[ranks])


if __name__ == "__main__":
    unittest.main(verbosity=2)
