"""The batch scripts of launch/slurm, as shipped, under a Slurm of two hosts: whatever interrupts a job, it ends with the
bits of a run that was left alone."""
import os
import re
import signal
import sys
import unittest

from cluster import LAUNCHER, ROOT, SKIPPED, skip_if_impossible, wait_for
from slurm import Slurm, reason_for_no_slurm

from launcher import SMALL_MODEL, LauncherTest, run

TRAIN, COMPARE = (ROOT / "launch" / "slurm" / f"{name}.sbatch" for name in ("train", "compare"))
SIZE = ["--nodes=2", "--ntasks-per-node=2"]
RECIPE = [*SMALL_MODEL, "--train-samples", "480", "--test-samples", "40", "--replicas", "6", "--batch-size", "4"]
# Some seconds on four ranks that share two cores.
EPOCHS = 150


class SlurmTest(LauncherTest):
    SETTINGS = {}

    @classmethod
    def setUpClass(cls):
        cls.slurm = Slurm(2, **cls.SETTINGS)
        cls.addClassCleanup(cls.slurm.close)

    def setUp(self):
        self.slurm.work_in(self.id().rpartition(".")[2])
        self.folder = self.slurm.folder

    def submit(self, script, *options, size=tuple(SIZE), **environment):
        return self.slurm.submit(*size, script, *options, LOCKSTEP=LAUNCHER, **environment)

    def output(self, job):
        path = self.folder / f"lockstep-{job}.out"
        return path.read_text() if path.exists() else ""

    def wait_for_state(self, job, *states, seconds=90):
        try:
            wait_for(lambda: self.slurm.job(job)["JobState"] in states, seconds)
        except AssertionError:
            self.fail(f"{self.slurm.job(job)}\n{self.output(job)}\n{self.slurm.logs()}")

    def start_long_run(self, *options, size=tuple(SIZE)):
        job = self.submit(TRAIN, *RECIPE, *options, size=size)
        wait_for(lambda: re.search(r"\n +2/", self.output(job)), 60)  # the second epoch's line
        return job

    def undisturbed(self, epochs):
        return run(1, "train", *RECIPE, "--epochs", epochs, "--output", self.folder / "undisturbed").fingerprint

    def check_bits(self, job, epochs=EPOCHS):
        self.wait_for_state(job, "COMPLETED", "FAILED", "TIMEOUT")
        self.assertEqual(self.slurm.job(job)["JobState"], "COMPLETED", self.output(job))
        self.assertIn(f"fingerprint: {self.undisturbed(epochs)}", self.output(job))


class Jobs(SlurmTest):
    SETTINGS = {"KillOnBadExit": 1}  # the scripts may not depend on how a cluster has it

    def test_a_run_over_two_hosts_has_the_bits_of_one_rank(self):
        job = self.submit(TRAIN, *RECIPE, "--epochs", "2", "--output", "mine")
        self.check_bits(job, 2)
        self.assertIn("\n  4 ranks, 6 replicas", self.output(job))
        self.assertTrue((self.folder / "mine" / "model.safetensors").exists())

    def test_without_options_it_trains_on_the_built_in_digits(self):
        job = self.submit(TRAIN)
        wait_for(lambda: "\n  4 ranks, 64 replicas" in self.output(job), 60)
        self.slurm.slurm("scancel", job)
        self.wait_for_state(job, "CANCELLED")
        self.assertTrue((self.folder / "runs" / "cluster" / "config.cfg").exists())

    def test_the_signal_before_the_time_limit_makes_it_stop_and_go_on(self):
        job = self.start_long_run("--epochs", EPOCHS)
        self.slurm.slurm("scancel", "--signal=USR1", "--batch", job)
        self.check_bits(job)
        self.assertEqual(self.slurm.job(job)["Restarts"], "1")
        self.assertEqual(self.output(job).count("stopped by SIGUSR1"), 1, self.output(job))
        self.assertEqual(self.output(job).count("  resumed after "), 1, self.output(job))

    def test_a_time_limit_is_announced_in_time_and_requeues(self):
        # Two minutes are what the script asks for: the limit is near as soon as Slurm looks, every half a minute.
        job = self.start_long_run("--epochs", "1000000", size=[*SIZE, "--time=2"])
        wait_for(lambda: self.slurm.job(job)["Restarts"] == "1", 90)
        self.slurm.slurm("scancel", job)
        self.wait_for_state(job, "CANCELLED")
        self.assertIn("stopped by SIGUSR1", self.output(job))

    def test_requeued_by_hand_it_goes_on(self):
        job = self.start_long_run("--epochs", EPOCHS)
        self.slurm.slurm("scontrol", "requeue", job)
        self.check_bits(job)
        self.assertEqual(self.slurm.job(job)["Restarts"], "1")
        self.assertIn("  resumed after ", self.output(job))

    def test_cancelled_it_stops_for_good_and_goes_on_where_it_is_submitted_again(self):
        job = self.start_long_run("--epochs", EPOCHS)
        self.slurm.slurm("scancel", job)
        self.wait_for_state(job, "CANCELLED")
        again = self.submit(TRAIN, *RECIPE, "--epochs", EPOCHS, size=["--nodes=1", "--ntasks-per-node=3"])
        self.check_bits(again)
        self.assertIn("  resumed after ", self.output(again))
        self.assertEqual(self.slurm.job(job)["JobState"], "CANCELLED")
        self.assertEqual(self.slurm.job(job)["Restarts"], "0")

    def test_a_rank_that_is_killed_ends_the_job_which_goes_on_when_it_is_submitted_again(self):
        job = self.start_long_run("--epochs", EPOCHS)
        found = wait_for(lambda: len(ranks := self.slurm.ranks()) == 4 and ranks)
        os.kill(found[2][1], signal.SIGKILL)
        self.wait_for_state(job, "FAILED", seconds=30)
        again = self.submit(TRAIN, *RECIPE, "--epochs", EPOCHS)
        self.check_bits(again)
        self.assertIn("  resumed after ", self.output(again))

    def test_a_study_is_a_job_for_each_seed(self):
        study = [*SMALL_MODEL, "--modes", "local,sync", "--batch-sizes", "4", "--global-batch", "16", "--train-samples",
                 "96", "--test-samples", "40", "--epochs", "1"]
        job = self.submit(COMPARE, *study, size=["--array=1-2", "--nodes=1", "--ntasks-per-node=2"])
        wait_for(lambda: not self.slurm.slurm("squeue", "-h", "-j", job).strip(), 60)
        for seed in (1, 2):
            output = (self.folder / f"lockstep-study-{job}-seed-{seed}.out").read_text()
            results = self.folder / "runs" / f"study-seed-{seed}" / "results.csv"
            self.assertTrue(results.exists(), output)


    def test_a_study_that_makes_no_progress_is_not_requeued_for_ever(self):
        study = [*SMALL_MODEL, "--modes", "local", "--batch-sizes", "4", "--global-batch", "16", "--train-samples", "480",
                 "--test-samples", "40", "--epochs", "1000000"]
        job = self.submit(COMPARE, *study, size=["--array=1", "--nodes=1", "--ntasks-per-node=2", "--time=2"])
        output = self.folder / f"lockstep-study-{job}-seed-1.out"
        wait_for(lambda: not self.slurm.slurm("squeue", "-h", "-j", job).strip(), 120)
        self.assertIn("no combination was finished within the time limit", output.read_text())
        self.assertEqual(self.slurm.job(f"{job}_1")["Restarts"], "0")


class KilledHost(SlurmTest):
    SETTINGS = {"SlurmdTimeout": 6}  # seconds until Slurm misses the host; five minutes by itself

    def test_gives_its_job_to_another_one_that_goes_on(self):
        job = self.start_long_run("--epochs", 2 * EPOCHS, size=["--nodes=1", "--ntasks-per-node=3"])
        self.slurm.kill(self.slurm.job(job)["BatchHost"])
        wait_for(lambda: self.slurm.job(job)["Restarts"] == "1", 60)
        self.check_bits(job, 2 * EPOCHS)
        self.assertIn("  resumed after ", self.output(job))


if __name__ == "__main__":
    skip_if_impossible()
    if reason_for_no_slurm():
        print(f"skipped: {reason_for_no_slurm()}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
