"""Ranks that disagree, die or hang, and places that cannot be written: an error in bounded time, never a hang."""
import os
import signal
import subprocess
import time
import unittest

from launcher import (LAUNCHER, MPIRUN, QUICK, RANKS, SMALL_MODEL, TIME_FACTOR, WATCHDOG_SECONDS, LauncherTest,
                      Result, finish, rank_processes, start, wait_for)

LONG = ["train", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", "100000", "--output",
        "run"]


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


class Ranks(LauncherTest):
    def start_long_run(self, ranks, *options):
        process = start(ranks, *LONG, *options, folder=self.folder)
        wait_for(lambda: (self.folder / "run" / "checkpoint.safetensors").exists())
        return process, wait_for(lambda: len(found := rank_processes(process)) == ranks and found)

    def test_one_that_is_killed_ends_all(self):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                self.folder = self.folder / "again"
                self.folder.mkdir()
                process, pids = self.start_long_run(ranks)
                begin = time.monotonic()
                os.kill(pids[ranks - 1], signal.SIGKILL)
                result = finish(process, begin)
                self.assertNotIn(result.code, (0, 124), result)
                self.assertLess(result.seconds, 12 * TIME_FACTOR, result)
                wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids.values()))

    def test_one_that_hangs_is_named_after_the_time_out(self):
        for ranks in (n for n in RANKS if n > 1):
            for stopped in (0, ranks - 1):
                with self.subTest(ranks=ranks, stopped=stopped):
                    self.folder = self.folder / "again"
                    self.folder.mkdir()
                    process, pids = self.start_long_run(ranks, "--timeout", "2")
                    begin = time.monotonic()
                    os.kill(pids[stopped], signal.SIGSTOP)
                    result = finish(process, begin)
                    self.assertNotIn(result.code, (0, 124), result)
                    self.assertLess(result.seconds, 15 * TIME_FACTOR, result)
                    # One line, as a rule. But a process that is stopped amid a message to another leaves that one deaf
                    # to all (their messages queue up behind it), and then both speak.
                    speakers = [line.split(": ")[1] for line in result.error_lines]
                    self.assertIn(len(speakers), range(1, ranks), result)
                    self.assertEqual(len(set(speakers)), len(speakers), result)
                    self.assertNotIn(f"rank {stopped}", speakers, result)
                    for line in result.error_lines:
                        self.assertIn("2 s", line, result)
                        # Others may be missing with it: those that wait for it elsewhere.
                        self.assertRegex(line, rf"^lockstep: rank \d+: .*\brank (\d+, )*{stopped}\b", result)


class Study(LauncherTest):
    """Two replicas on three ranks leave the last one without work: it waits for the others, not for ever."""

    def start_study(self, epochs, output):
        return start(3, "compare", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", epochs,
                     "--modes", "local", "--batch-sizes", "32", "--global-batch", "64", "--seeds", "1", "--timeout",
                     "2", "--output", output, folder=self.folder)

    def test_a_rank_without_work_waits_longer_than_the_time_out_for_ranks_that_live(self):
        epochs, seconds = 100, 0
        while seconds < 5:  # however fast the machine is
            self.assertLess(epochs, 100000, "no study lasts longer than the time-out")
            begin = time.monotonic()
            result = finish(self.start_study(str(epochs), f"for-{epochs}"), begin)
            self.assertEqual(result.code, 0, result)
            seconds, epochs = result.seconds, epochs * 4

    def test_a_rank_that_stops_is_an_error_for_those_with_and_without_work(self):
        for stopped in range(3):
            with self.subTest(stopped=stopped):
                process = self.start_study("1000000", f"stopped-{stopped}")
                wait_for(lambda: (self.folder / f"stopped-{stopped}" / "config.cfg").exists())
                pids = wait_for(lambda: len(found := rank_processes(process)) == 3 and found)
                time.sleep(1)
                begin = time.monotonic()
                if stopped == 2:
                    # It only waits: nobody misses it before the work is done, which would be never.
                    os.kill(pids[stopped], signal.SIGKILL)
                else:
                    os.kill(pids[stopped], signal.SIGSTOP)
                result = finish(process, begin)
                self.assertNotIn(result.code, (0, 124), result)
                self.assertLess(result.seconds, 15 * TIME_FACTOR, result)


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
        for name in ("file/run", "x" * 300):
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
