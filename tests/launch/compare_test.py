"""A study gives the same results on any number of ranks, interrupted or not, and loses nothing to a failure."""
import csv
import json
import os
import signal
import unittest
import xml.etree.ElementTree

from launcher import LauncherTest, rank_processes, start, wait_for

OPTIONS = {"train-samples": 192, "test-samples": 100, "epochs": 2, "precise-bn": 4, "global-batch": 16,
           "model": "batchnorm, linear 12, relu, batchnorm, linear 10",
           "modes": "local,group:4,sync", "batch-sizes": "2,4,8", "seeds": "1,2"}
COMBINATIONS = 2 * 3 * 3
FINISHED = 2 * (3 + 2 + 3)  # groups of 4 do not fit the 2 replicas of 8 samples
FIGURES = ["test-error", "train-loss", "test-accuracy", "mean-noise", "variance-noise", "evaluation-gap", "drift",
           "step-time"]


def study(output, *more, **changes):
    """The command line of a small study that goes to the folder `output`."""
    options = OPTIONS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["compare", "--output", output, *more, *(f"--{name}={value}" for name, value in options.items())]


class Study(LauncherTest):
    def read_csv(self, name):
        with open(self.folder / name / "results.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def results(self, name):
        """What must not depend on the machine: all columns but those of times."""
        return [{column: value for column, value in row.items() if "seconds" not in column}
                for row in self.read_csv(name)]

    def records(self, name):
        folder = self.folder / name / "combinations"
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("*.json")}


class Results(Study):
    def test_same_on_any_number_of_ranks(self):
        for ranks in (1, 2, 3):  # with 3, the 2 replicas of 8 samples leave a rank without work
            self.succeed(ranks, *study(f"on{ranks}"), seconds=120)
        self.assertEqual(self.results("on1"), self.results("on2"))
        self.assertEqual(self.results("on1"), self.results("on3"))
        self.assertEqual(sum(row["outcome"] == "finished" for row in self.results("on1")), FINISHED)

    def test_files_are_complete_and_well_formed(self):
        result = self.succeed(2, *study("study", predict="2,64", ranks_per_node=16), seconds=120)
        self.assertIn("with 16 ranks a node", result.out)
        self.assertIn("Test error", result.out)
        self.assertIn("Predicted beside measured", result.out)
        page = xml.etree.ElementTree.parse(self.folder / "study" / "report.html").getroot()
        shown = {element.get("id") for element in page.iter("{http://www.w3.org/1999/xhtml}figure")}
        files = {path.stem for path in (self.folder / "study" / "figures").glob("*.svg")}
        self.assertEqual(shown, {*FIGURES, "prediction"})
        self.assertEqual(files, shown)
        for name in files:
            xml.etree.ElementTree.parse(self.folder / "study" / "figures" / f"{name}.svg")
        results = json.loads((self.folder / "study" / "results.json").read_text(encoding="utf-8"))
        self.assertEqual(len(results["prediction"]["checks"]), 3)
        self.assertEqual(results["prediction"]["ranks_per_node"], 16)
        self.assertLess(0, results["prediction"]["rows"][-1]["each rank by itself"]["sync_seconds"])
        self.assertEqual([path.name for path in (self.folder / "study" / "combinations").glob("*.parameters")], [])

    def test_drift_is_measured_and_nothing_where_the_computation_is_the_same(self):
        self.succeed(1, *study("study"), seconds=120)
        for row in self.read_csv("study"):
            if row["outcome"] != "finished" or row["mode"] == "sync":
                continue
            same = row["mode"] == "group:4" and row["replicas"] == "4"
            (self.assertEqual if same else self.assertGreater)(float(row["drift_from_sync"]), 0, row)

    def test_running_averages_of_the_first_replica(self):
        self.succeed(2, *study("pooled"), seconds=120)
        self.succeed(2, *study("first", running_averages="first"), seconds=120)
        differs = False
        for pooled, first in zip(self.results("pooled"), self.results("first")):
            self.assertEqual(pooled["fingerprint"], first["fingerprint"])
            self.assertEqual(pooled["test_error"], pooled["test_error_pooled_averages"])
            self.assertEqual(first["test_error"], first["test_error_first_averages"])
            if pooled["mode"] == "sync":
                self.assertEqual(pooled["test_error"], first["test_error"])
            differs = differs or pooled["test_error"] != first["test_error"]
        self.assertTrue(differs)


class Interrupted(Study):
    def test_killed_and_resumed(self):
        self.succeed(1, *study("whole", epochs=10), seconds=120)
        process = start(2, *study("study", epochs=10), folder=self.folder, seconds=120)
        wait_for(lambda: len(self.records("study")) >= 2, seconds=100)
        os.kill(rank_processes(process)[0], signal.SIGKILL)
        process.communicate()
        before = self.records("study")
        self.assertGreaterEqual(len(before), 2)
        self.assertLess(len(before), COMBINATIONS)
        self.succeed(1, "compare", "--resume", "--output", "study", seconds=120)
        after = self.records("study")
        for name, record in before.items():
            self.assertEqual(after[name], record, f"{name} was made again")
        self.assertEqual(self.results("study"), self.results("whole"))

    def test_finished_computes_nothing(self):
        self.succeed(2, *study("study"), seconds=120)
        before = self.records("study")
        result = self.succeed(1, "compare", "--resume", "--output", "study")
        self.assertIn(" 0 to compute", result.out)
        self.assertEqual(self.records("study"), before)

    def test_seeds_can_be_added(self):
        self.succeed(2, *study("study", seeds="1"), seconds=120)
        before = self.records("study")
        self.succeed(2, "compare", "--resume", "--output", "study", "--seeds=1,2", seconds=120)
        self.succeed(2, *study("whole"), seconds=120)
        self.assertEqual(self.results("study"), self.results("whole"))
        self.assertEqual({name: self.records("study")[name] for name in before}, before)

    def test_other_settings_are_refused(self):
        self.succeed(1, *study("study", seeds="1"), seconds=120)
        self.expect_error("made with other settings", "compare", "--resume", "--output", "study", "--epochs", "3")
        self.expect_error("holds a study already", *study("study"))


class Failures(Study):
    def test_of_one_combination_do_not_end_the_study(self):
        result = self.succeed(2, *study("study", batch_sizes="1,4"), seconds=120)
        self.assertIn("failed: local, 1 sample per replica, seed 1: ", result.out)
        for row in self.results("study"):
            failed = row["mode"] == "local" and row["samples_per_replica"] == "1"
            self.assertEqual(row["outcome"], "failed" if failed else "finished", row)
            self.assertEqual("one value per channel" in row["reason"], failed, row)

    def test_of_the_loss_do_not_end_the_study(self):
        result = self.succeed(2, *study("study", learning_rate="1e38", modes="local,sync", batch_sizes="4"),
                              seconds=120)
        self.assertIn("no longer finite", result.out)
        self.assertTrue((self.folder / "study" / "report.html").exists())

    def test_of_the_options(self):
        self.expect_error("3 does not divide the global batch of 16", *study("bad", batch_sizes="2,3"))
        self.expect_error("seeds: 1 is there twice", *study("bad", seeds="1,1"))
        self.expect_error("running-averages", *study("bad", running_averages="last"))
        self.expect_error("--latency and --bandwidth", *study("bad", predict="2,4"), ranks=[1])
        self.expect_error("--node-latency and --node-bandwidth", *study("bad", predict="2,4", latency="1e-6", bandwidth="1e9",
                                                                        ranks_per_node=2), ranks=[1])


if __name__ == "__main__":
    unittest.main()
