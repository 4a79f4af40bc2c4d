"""Ranks on several hosts that disagree, die or hang, and a host that is no longer reached: as on one, an error in bounded
time that names who it is, never a hang. tests/launch/failures_test.py has the same on one host, and more of it."""
import os
import signal
import time
import unittest

from cluster import LAUNCHER, TIME_FACTOR, Cluster, skip_if_impossible, wait_for
from hosts_case import HostsTest

from arrays import write_npy
from launcher import QUICK, SMALL_MODEL

LONG = ["train", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", "100000", "--output",
        "run"]
TIME_OUT = 2
# What ranks on a host write that is cut off reaches no mpirun: each keeps its own.
KEEPING_ERRORS = ["bash", "-c", 'exec "$0" "$@" 2> errors.$OMPI_COMM_WORLD_RANK', LAUNCHER]


class Disagreement(HostsTest):
    """The last rank, on a host of its own, differs from the others."""

    def check_apart(self, what, first, last, ranks=(1, 1), before=(), before_last=()):
        count = sum(ranks)
        programs = [[*before, LAUNCHER, *first]] * (count - 1) + [[*before_last, LAUNCHER, *last]]
        begin = time.monotonic()
        result = self.cluster.finish(self.cluster.start(ranks, *programs), begin)
        self.check_error([f"on rank {count - 1}" if word == "LAST" else word for word in what], result)

    def test_in_an_option_names_both_sides(self):
        train = ["train", *QUICK]
        for first, last, what in ((["--seed", "1"], ["--seed", "2"], ["seed: 1 on rank 0", "2 on rank "]),
                                  (["--bn", "sync"], ["--bn", "local"], ["bn: sync on rank 0", "local on rank "]),
                                  (["--replicas", "4"], ["--replicas", "6"], ["replicas: 4 on rank 0"])):
            for ranks in ((1, 1), (2, 1)):
                with self.subTest(option=first[0], ranks=ranks):
                    self.check_apart(["do not agree", "LAST", *what], train + first, train + last, ranks)

    def test_in_the_command(self):
        self.check_apart(["do not agree"], ["train", *QUICK], ["train", "--help"])

    def test_in_the_instruction_set_that_the_environment_names(self):
        train = ["train", *QUICK]
        self.check_apart(["LOCKSTEP_INSTRUCTION_SET", "portable on rank 0", "(not set)", "LAST"], train, train,
                         before=["env", "LOCKSTEP_INSTRUCTION_SET=portable"])

    def test_in_the_data_on_their_own_disks(self):
        count = 48
        labels = [i % 3 for i in range(count)]
        write_npy(self.folder / "labels.npy", "<i8", [count], labels)
        for name, changed in (("node1", 0), ("node2", 1)):
            values = [float(i * i % 17) for i in range(count * 4)]
            values[-1] += changed
            write_npy(self.folder / f"{name}.npy", "<f4", [count, 4], values)
            for words in (["cp", self.cluster.inner_folder / f"{name}.npy", self.cluster.local("inputs.npy")],
                          ["cp", self.cluster.inner_folder / "labels.npy", self.cluster.local("labels.npy")]):
                self.cluster.output_on(name, *words)
        data = f"{self.cluster.local('inputs.npy')}:{self.cluster.local('labels.npy')}"
        train = ["train", "--model", "batchnorm, linear 8, relu, linear 3", "--data", data, "--test-split", "0.25",
                 "--batch-size", "8", "--epochs", "1"]
        self.check_apart(["do not agree"], train, train)
        self.cluster.output_on("node2", "cp", self.cluster.inner_folder / "node1.npy", self.cluster.local("inputs.npy"))
        self.succeed_on((1, 1), *train)


class Ranks(HostsTest):
    def start_long_run(self, ranks, *options, program=(LAUNCHER,)):
        process = self.cluster.start(ranks, [*program, *LONG, *options])
        wait_for(lambda: (self.folder / "run" / "checkpoint.safetensors").exists())
        return process, wait_for(lambda: len(found := self.cluster.ranks()) == sum(ranks) and found)

    def wait_for_the_end_of(self, ranks, seconds):
        numbers = [pid for _, pid in ranks.values()]
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in numbers), seconds)

    def test_one_that_is_killed_ends_all(self):
        for ranks in ((1, 1), (2, 1), (1, 1, 1)):
            with self.subTest(ranks=ranks):
                self.setUp()
                process, found = self.start_long_run(ranks)
                begin = time.monotonic()
                os.kill(found[sum(ranks) - 1][1], signal.SIGKILL)
                result = self.cluster.finish(process, begin)
                self.assertNotIn(result.code, (0, 124), result)
                self.assertLess(result.seconds, 12 * TIME_FACTOR, result)
                self.wait_for_the_end_of(found, 5)

    def test_one_that_hangs_is_named_after_the_time_out(self):
        for stopped in (0, 1, 2):
            with self.subTest(stopped=stopped):
                self.setUp()
                process, found = self.start_long_run((2, 1), "--timeout", TIME_OUT)
                begin = time.monotonic()
                os.kill(found[stopped][1], signal.SIGSTOP)
                result = self.cluster.finish(process, begin)
                self.assertNotIn(result.code, (0, 124), result)
                self.assertLess(result.seconds, 15 * TIME_FACTOR, result)
                self.assertGreater(len(result.error_lines), 0, result)
                for line in result.error_lines:
                    self.assertNotIn(f"lockstep: rank {stopped}: ", line)
                    self.assertRegex(line, rf"{TIME_OUT} s .*\brank (\d+, )*{stopped}\b", result)

    def test_of_a_host_that_is_cut_off_are_named_and_all_end(self):
        for ranks in ((1, 1), (2, 2), (1, 2, 1)):
            # Hosts of its own: mpirun waits for the one that is gone for ever.
            with self.subTest(ranks=ranks), Cluster(len(ranks)) as self.cluster:
                self.setUp()
                process, found = self.start_long_run(ranks, "--timeout", TIME_OUT, program=KEEPING_ERRORS)
                self.cluster.cut_off("node2")
                self.wait_for_the_end_of(found, TIME_OUT + 10)
                self.check_names_of_the_missing(found)
                self.cluster.end(process)

    def test_of_a_host_that_is_killed_go_on_on_the_others(self):
        words = ["train", *SMALL_MODEL, "--train-samples", "480", "--test-samples", "40", "--replicas", "6", "--epochs", "200",
                 "--output", "run"]
        with Cluster(3) as self.cluster:
            self.setUp()
            process = self.cluster.start((1, 2, 1), [LAUNCHER, *words])
            wait_for(lambda: (self.folder / "run" / "checkpoint.safetensors").exists())
            begin = time.monotonic()
            self.cluster.kill("node2")
            result = self.cluster.finish(process, begin)
            self.assertNotIn(result.code, (0, 124), result)
            continued = self.succeed_on((2, 0, 1), "train", "--resume", "--output", "run")
            self.assertIn("resumed after", continued.out)
            self.assertEqual(continued.fingerprint, self.succeed_on((1,), *words[:-1], "whole").fingerprint)

    def check_names_of_the_missing(self, found):
        """Each side speaks, by one rank at least, and names ranks of the other side only."""
        sides = set()
        for rank, (host, _) in found.items():
            other_side = [str(r) for r, (name, _) in found.items() if (name == "node2") != (host == "node2")]
            for line in (self.folder / f"errors.{rank}").read_text().splitlines():
                if line.startswith("lockstep: "):
                    sides.add(host == "node2")
                    self.assertRegex(line, rf"^lockstep: rank \d+: .*{TIME_OUT} s .*\brank (\d+, )*({'|'.join(other_side)})\b")
        self.assertEqual(sides, {True, False}, "both sides speak")


if __name__ == "__main__":
    skip_if_impossible()
    unittest.main(verbosity=2)
