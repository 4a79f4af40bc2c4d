"""Processes that a foreign launcher starts, and that do not see each other, say so."""
import os
import subprocess
import time
import unittest

from launcher import LAUNCHER, RANKS, SMALL_MODEL, LauncherTest, finish

LONG = ["train", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", "100000"]
QUICK = ["train", *SMALL_MODEL, "--train-samples", "96", "--test-samples", "40", "--epochs", "1"]


def warnings(result):
    return [line for line in result.err.split("\n") if line.startswith("lockstep: warning: ")]


class Foreign(LauncherTest):
    """The launcher as each of two processes that share nothing but the folder."""

    def start_alone(self, words, **environment):
        return subprocess.Popen([LAUNCHER, *words], cwd=self.folder, text=True, env=os.environ | environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_each_process_warns_once(self):
        for environment, what in (({"PMI_SIZE": "2"}, "PMI_SIZE=2 promises 2"),
                                  ({"MV2_COMM_WORLD_SIZE": "2"}, "MV2_COMM_WORLD_SIZE=2 promises 2"),
                                  ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"},
                                   "SLURM_STEP_NUM_TASKS=2 promises 2")):
            begin = time.monotonic()
            both = [finish(self.start_alone(QUICK, PMI_RANK=str(rank), **environment), begin) for rank in (0, 1)]
            for result in both:
                self.assertEqual(result.code, 0, result)
                self.assertEqual(len(warnings(result)), 1, result)
                self.assertIn(what, warnings(result)[0])
                self.assertIn("mpirun", warnings(result)[0])

    def test_one_rank_that_is_meant_does_not_warn(self):
        result = finish(self.start_alone(QUICK, SLURM_NTASKS="64"), time.monotonic())
        self.assertEqual((result.code, result.error_lines), (0, []), result)
        for ranks in RANKS:
            self.succeed(ranks, *QUICK)  # checks that there is no line of ours on standard error

    def test_two_do_not_write_into_one_folder(self):
        both = [self.start_alone([*LONG, "--output", "run"], PMI_RANK=str(rank), PMI_SIZE="2") for rank in (0, 1)]
        try:
            end = time.monotonic() + 20
            while all(process.poll() is None for process in both) and time.monotonic() < end:
                time.sleep(0.05)
            ended = [process for process in both if process.poll() is not None]
            self.assertEqual(len(ended), 1)
            result = finish(ended[0], 0)
            self.assertNotEqual(result.code, 0)
            self.assertIn("another process is at work in this folder", result.err)
            resumed = finish(self.start_alone(["train", "--resume", "--output", "run"]), 0)
            self.assertIn("another process is at work in this folder", resumed.err)
        finally:
            for process in both:
                process.kill()
                process.communicate()

    def test_two_get_folders_of_their_own_by_default(self):
        both = [self.start_alone(QUICK, PMI_RANK=str(rank), PMI_SIZE="2") for rank in (0, 1)]
        for process in both:
            result = finish(process, 0)
            self.assertEqual(result.code, 0, result)
        for name in ("digits-sync", "digits-sync-2"):
            self.assertTrue((self.folder / "runs" / name / "model.safetensors").exists(), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
