"""Runs over several hosts have the bits of one, on a good network and on a bad one, and leave nothing behind."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

from cluster import HERE, LAUNCHER, Cluster, namespaces_of, processes, reason_for_no_switch, skip_if_impossible, wait_for
from hosts_case import HostsTest
from launcher import SMALL_MODEL, run

REPLICAS = 10  # one on each of 9 ranks, and two on the last
RECIPE = ["train", "--model", "batchnorm, linear 12, relu, batchnorm, dropout 0.1, linear 10", "--train-samples", "203",
          "--test-samples", "101", "--batch-size", "4", "--replicas", str(REPLICAS)]
SHORT = [*RECIPE, "--epochs", "2"]
ENDLESS = [*RECIPE, "--epochs", "100000"]
MODES = ("local", "group:2", "sync")
# Ranks on node1, node2, node3.
LAYOUTS = ((1, 1), (2, 2), (3, 3), (1, 1, 1), (2, 2, 2), (3, 3, 3), (1, 3, 2))


def traces():
    """What Open MPI and its ranks would have left in the machine's own folders: files named after the hosts."""
    folders = map(pathlib.Path, {tempfile.gettempdir(), "/tmp", "/dev/shm"})
    return sorted(str(path) for folder in folders for path in folder.iterdir()
                  if any(f".{name}" in path.name for name in ("node1", "node2", "node3", "head")))


class Bits(HostsTest):
    def one_rank(self, mode):
        return run(1, *SHORT, "--bn", mode, "--output", self.folder / f"one-{mode}").fingerprint

    def check(self, ranks, by, mode, expected):
        with self.subTest(ranks=ranks, by=by, mode=mode):
            result = self.succeed_on(ranks, *SHORT, "--bn", mode, by=by)
            self.assertIn(f"\n  {sum(ranks)} ranks, {REPLICAS} replicas", result.out)
            self.assertEqual(result.fingerprint, expected)

    def test_are_those_of_one_rank_by_slot_in_every_mode(self):
        prints = {mode: self.one_rank(mode) for mode in MODES}
        self.assertEqual(len(set(prints.values())), len(MODES), "modes differ, or the test shows nothing")
        for ranks in LAYOUTS:
            for mode in MODES:
                self.check(ranks, "slot", mode, prints[mode])

    def test_are_those_of_one_rank_by_node_where_neighbours_are_on_other_hosts(self):
        prints = {mode: self.one_rank(mode) for mode in MODES}
        layouts = [ranks for ranks in LAYOUTS if max(ranks) > 1]
        for number, ranks in enumerate(layouts):
            for mode in {MODES[number % 3], "sync"}:
                self.check(ranks, "node", mode, prints[mode])

    def test_of_a_run_that_another_number_of_hosts_continues(self):
        whole = run(1, *RECIPE, "--epochs", "3", "--output", self.folder / "whole").fingerprint
        self.succeed_on((2, 1), *RECIPE, "--epochs", "1", "--output", "run")
        self.succeed_on((1, 1, 2), "train", "--resume", "--epochs", "2", "--output", "run")
        result = self.succeed_on((0, 2), "train", "--resume", "--epochs", "3", "--output", "run")
        self.assertEqual(result.fingerprint, whole)


class Memory(HostsTest):
    """Process numbers are the same on the hosts, and so are the names in /dev/shm: neither proves a common memory."""

    def gradients(self, ranks):
        out = self.succeed_on(ranks, "bench", "step", *SMALL_MODEL, "--replicas", "4", "--batch-size", "4").out
        return next(line for line in out.splitlines() if ", gradients " in line)

    def test_is_shared_within_a_host_and_not_between_hosts(self):
        self.assertIn("gradients in shared memory,", self.gradients((2,)))
        for ranks in ((1, 1), (1, 1, 1)):
            self.assertIn("gradients in messages,", self.gradients(ranks), ranks)
        self.assertIn("gradients in shared memory within 2 nodes", self.gradients((2, 1)))


class BadNetwork(HostsTest):
    NETWORK = {"delay": 0.005, "loss": 0.01}

    def test_changes_no_bits(self):
        for mode, ranks in (("local", (1, 1)), ("group:2", (2, 1)), ("sync", (1, 1)), ("sync", (2, 1, 1))):
            with self.subTest(mode=mode, ranks=ranks):
                output = self.folder / f"one-{mode}-{len(ranks)}"
                expected = run(1, *SHORT, "--bn", mode, "--output", output).fingerprint
                self.assertEqual(self.succeed_on(ranks, *SHORT, "--bn", mode).fingerprint, expected)
        self.assertGreater(self.cluster.sent_again("node1"), 0, "packets were lost, and sent again")

    def test_a_prediction_measures_the_links_within_and_between_hosts_apart(self):
        for by in ("slot", "node"):
            with self.subTest(by):
                self.succeed_on((2, 1), "compare", *SMALL_MODEL, "--train-samples", "48", "--test-samples", "10", "--modes",
                                "sync", "--seeds", "1", "--epochs", "1", "--global-batch", "12", "--batch-sizes", "4",
                                "--precise-bn", "0", "--predict", "64", "--ranks-per-node", "2", "--output", f"study-{by}",
                                by=by)
                results = json.loads((self.cluster.folder / f"study-{by}" / "results.json").read_text(encoding="utf-8"))
                prediction = results["prediction"]
                self.assertGreaterEqual(prediction["network"]["latency_seconds"], self.NETWORK["delay"])
                self.assertLess(prediction["node"]["latency_seconds"], self.NETWORK["delay"])
                self.assertEqual([check["ranks"] for check in prediction["checks"]], [2, 3])


class Remains(unittest.TestCase):
    """There are none, however a test ends."""

    def check_nothing_is_left_of(self, before, namespaces, head):
        wait_for(lambda: not pathlib.Path(f"/proc/{head}").exists())
        left = {name for entry in processes() for name in namespaces_of(entry)}
        self.assertGreaterEqual(len(namespaces), 10, "two hosts and the head: five namespaces each, or some short of it")
        self.assertEqual(left & namespaces, set())
        self.assertEqual(traces(), before)

    def test_after_a_run(self):
        before = traces()
        with Cluster(2) as cluster:
            process = cluster.start((2, 2), [LAUNCHER, *ENDLESS])
            ranks = wait_for(lambda: len(found := cluster.ranks()) == 4 and found)
            namespaces, head = cluster.namespaces(), cluster.head
        process.communicate()
        self.check_nothing_is_left_of(before, namespaces, head)
        self.assertFalse([pid for _, pid in ranks.values() if os.path.exists(f"/proc/{pid}")])

    def test_after_a_test_that_was_killed(self):
        before = traces()
        script = textwrap.dedent(f"""
            import sys, time
            sys.path.insert(0, {str(HERE)!r})
            from cluster import Cluster, wait_for
            cluster = Cluster(2)
            process = cluster.start((2, 2), {[LAUNCHER, *ENDLESS]!r})
            wait_for(lambda: len(cluster.ranks()) == 4)
            print(cluster.head, *cluster.namespaces(), flush=True)
            time.sleep(1000)""")
        with subprocess.Popen([sys.executable, "-c", script], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as test:
            head, *namespaces = test.stdout.readline().split()
            test.send_signal(signal.SIGKILL)
        self.check_nothing_is_left_of(before, set(namespaces), head)


if __name__ == "__main__":
    skip_if_impossible()
    if reason_for_no_switch():
        BadNetwork = unittest.skip(reason_for_no_switch())(BadNetwork)
    unittest.main(verbosity=2)
