"""Processes that the launcher of another MPI starts, and that do not see each other, are refused; where it is not certain
that they were meant as one run, they say so."""
import glob
import os
import pathlib
import subprocess
import time
import unittest

from launcher import LAUNCHER, MPIRUN, RANKS, SMALL_MODEL, LauncherTest, Result, finish

LONG = ["train", *SMALL_MODEL, "--train-samples", "2000", "--test-samples", "40", "--epochs", "100000"]
QUICK = ["train", *SMALL_MODEL, "--train-samples", "96", "--test-samples", "40", "--epochs", "1"]
# Two tasks of srun, one step: each may be a run of its own.
STEP = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}


def warnings(result):
    return [line for line in result.err.split("\n") if line.startswith("lockstep: warning: ")]


def foreign_mpiruns():
    """Those of other MPIs that lie beside the one in use, under the names that Debian gives them."""
    line = next(line for line in pathlib.Path(MPIRUN).read_text().splitlines() if line.startswith("export "))
    ours = os.path.realpath(line.partition("=")[2].strip("'"))
    found = {os.path.realpath(path): path for path in glob.glob("/usr/bin/mpirun.*")}
    return [path for real, path in found.items() if real != ours]


class Foreign(LauncherTest):
    """The launcher as each of two processes that share nothing but the folder."""

    def start_alone(self, words, **environment):
        return subprocess.Popen([LAUNCHER, *words], cwd=self.folder, text=True, env=os.environ | environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_each_process_refuses_to_run_alone(self):
        for environment, what in (({"PMI_SIZE": "2"}, "PMI_SIZE=2 promises 2"),
                                  ({"MV2_COMM_WORLD_SIZE": "2"}, "MV2_COMM_WORLD_SIZE=2 promises 2"),
                                  ({"PMI_SIZE": "2"} | STEP, "PMI_SIZE=2 and SLURM_STEP_NUM_TASKS=2 promise 2")):
            for rank in ("0", "1"):
                begin = time.monotonic()
                result = finish(self.start_alone(QUICK, PMI_RANK=rank, **environment), begin)
                self.check_error([what, "mpirun"], result)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_under_the_mpirun_of_another_mpi(self):
        others = foreign_mpiruns()
        if not others:
            self.skipTest("there is only one MPI here")
        for other in others:
            begin = time.monotonic()
            done = subprocess.run([pathlib.Path(__file__).parents[1] / "support" / "mpirun", "--seconds", "60", "-n", "2",
                                   LAUNCHER, *QUICK], cwd=self.folder, text=True, capture_output=True, check=False,
                                  stdin=subprocess.DEVNULL, env=os.environ | {"LOCKSTEP_MPIRUN": other})
            result = Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
            self.check_error(["SIZE=2", "promise", "mpirun"], result, seconds=60)
            self.assertEqual(list(self.folder.iterdir()), [], result)

    def test_help_and_version_are_given_with_a_warning(self):
        for words in (["--version"], ["--help"], ["train", "--help"]):
            result = finish(self.start_alone(words, PMI_RANK="0", PMI_SIZE="2"), time.monotonic())
            self.assertEqual(result.code, 0, result)
            self.assertEqual(len(warnings(result)), 1, result)
            self.assertIn("mpirun", result.out + result.err)

    def test_tasks_of_one_step_warn_once_each(self):
        for rank in ("0", "1"):
            result = finish(self.start_alone(QUICK, SLURM_PROCID=rank, **STEP), time.monotonic())
            self.assertEqual(result.code, 0, result)
            self.assertEqual(len(warnings(result)), 1, result)
            self.assertIn("SLURM_STEP_NUM_TASKS=2 promises 2", warnings(result)[0])

    def test_one_rank_that_is_meant_does_not_warn(self):
        result = finish(self.start_alone(QUICK, SLURM_NTASKS="64", SLURM_PROCID="0"), time.monotonic())
        self.assertEqual((result.code, result.error_lines), (0, []), result)
        for ranks in RANKS:
            self.succeed(ranks, *QUICK)  # checks that there is no line of ours on standard error

    def test_two_do_not_write_into_one_folder(self):
        both = [self.start_alone([*LONG, "--output", "run"], **STEP) for _ in (0, 1)]
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
        both = [self.start_alone(QUICK, **STEP) for _ in (0, 1)]
        for process in both:
            result = finish(process, 0)
            self.assertEqual(result.code, 0, result)
        for name in ("digits-sync", "digits-sync-2"):
            self.assertTrue((self.folder / "runs" / name / "model.safetensors").exists(), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
