"""Ranks that die or hang: an end in bounded time, with words where anybody is left to speak."""
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest

from launcher import (LAUNCHER, MPIRUN, RANKS, SMALL_MODEL, TIME_FACTOR, LauncherTest, finish, rank_processes, start,
                      wait_for)

LONG = ["train", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", "100000", "--output",
        "run"]


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


    def test_one_that_hangs_before_all_else_is_missed_after_the_time_out(self):
        libraries = subprocess.run(["ldd", LAUNCHER], text=True, stdout=subprocess.PIPE, check=True).stdout
        mpi = re.search(r" => (\S*/libmpi\S*)", libraries)[1]
        hangs = [sys.executable, "-c", "import ctypes, time; "
                 f"ctypes.CDLL({mpi!r}, ctypes.RTLD_GLOBAL).MPI_Init(None, None); time.sleep(600)"]
        one_hangs = ["sh", "-c", f'if [ "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" = 1 ]; then exec {shlex.join(hangs)}; fi; '
                     'exec "$@"', "sh"]
        for words in ([*LONG, "--timeout", "3"], ["doctor", "--timeout=12"]):
            begin = time.monotonic()
            with subprocess.Popen([MPIRUN, "--seconds", "60", "-n", "2", *one_hangs, LAUNCHER, *words], cwd=self.folder,
                                  text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                result = finish(process, begin)
            self.check_error(["rank 0: time-out after 3 s at making a Communicator", "nothing is heard of rank 1"], result)
            self.assertLess(result.seconds, 15 * TIME_FACTOR, result)


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


if __name__ == "__main__":
    unittest.main(verbosity=2)
