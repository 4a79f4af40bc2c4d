"""`lockstep doctor`: what it says of a healthy machine, and what it finds of what is wrong."""
import os
import pathlib
import subprocess
import time
import unittest

from launcher import LAUNCHER, MPIRUN, RANKS, LauncherTest, Result

SUBJECTS = ("Lockstep", "MPI", "launcher", "instructions", "cores", "threads", "huge pages", "transport", "gradients",
            "output", "bits")
SEGMENTS = pathlib.Path("/dev/shm")


def verdicts(result):
    """Subjects and what is said of them, by their first lines."""
    found = {}
    for line in result.lines:
        for subject in SUBJECTS + ("partial files", "/dev/shm", "messages", "other jobs", "binding", "yielding"):
            if line.startswith("  ") and line[11:].startswith(f"{subject} "):
                found.setdefault(subject, []).append((line[2:10].strip(), line[26:].strip()))
    return found


class Doctor(LauncherTest):
    def examine_apart(self, ranks, script):
        """Each rank runs the shell script, which knows its number as $rank."""
        path = self.folder / "rank.sh"
        path.write_text("rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-$PMIX_RANK}}\n" + script)
        begin = time.monotonic()
        done = subprocess.run([MPIRUN, "--seconds", "60", "-n", str(ranks), "sh", path], cwd=self.folder, text=True,
                              capture_output=True, check=False, stdin=subprocess.DEVNULL)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def test_a_healthy_machine(self):
        for ranks in RANKS:
            result = self.succeed(ranks, "doctor")
            found = verdicts(result)
            for subject in SUBJECTS:
                self.assertIn(subject, found, result)
            self.assertEqual(found["launcher"][0][0], "ok", result)
            self.assertEqual(found["bits"][0][0], "ok", result)
            self.assertEqual("messages" in found, ranks > 1, result)
            self.assertIn("no errors, ", result.lines[-1])
        self.assertEqual(list(self.folder.iterdir()), [], "the doctor leaves nothing behind")

    def test_a_process_alone(self):
        words = [LAUNCHER, "doctor"]
        done = subprocess.run(words, cwd=self.folder, text=True, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("started by itself", done.stdout)
        # As the mpirun of another MPI would start it.
        for rank in ("0", "1"):
            done = subprocess.run(words, cwd=self.folder, text=True, capture_output=True, check=False,
                                  env=os.environ | {"PMI_SIZE": "2", "PMI_RANK": rank})
            self.assertEqual(done.returncode, 1)
            self.assertIn("PMI_SIZE=2 promises 2", done.stdout if rank == "0" else done.stderr)
            self.assertEqual(done.stdout == "", rank != "0")

    def test_ranks_that_force_other_instruction_sets(self):
        result = self.examine_apart(2, f"[ $rank = 1 ] && export LOCKSTEP_INSTRUCTION_SET=portable\nexec {LAUNCHER} doctor")
        self.assertEqual(result.code, 1, result)
        self.assertEqual(verdicts(result)["instructions"],
                         [("ERROR", "LOCKSTEP_INSTRUCTION_SET is nothing on rank 0; portable on rank 1")], result)
        self.check_error("doctor: see what it says of instructions", result, seconds=60)

    def test_an_output_folder_that_cannot_be_written(self):
        (self.folder / "file").write_text("in the place of a folder")
        for output in ("/proc/here", "file", "file/run"):
            self.expect_error("doctor: see what it says of output", "doctor", "--output", output, ranks=[2])

    def test_an_output_folder_that_not_all_ranks_see(self):
        for rank in (0, 1):
            (self.folder / str(rank)).mkdir()
        result = self.examine_apart(2, f"cd $rank && exec {LAUNCHER} doctor --output runs/mine")
        self.assertEqual(result.code, 0, result)
        (verdict, text), = verdicts(result)["output"]
        self.assertEqual(verdict, "WARNING", result)
        self.assertIn("rank 1 does not see", text)

    def test_what_a_killed_run_left_in_its_folder(self):
        run = self.folder / "run"
        run.mkdir()
        (run / ".model.safetensors.0123abcd-99-0.partial").write_bytes(b"half")
        result = self.succeed(1, "doctor", "--output", "run")
        self.assertIn(".model.safetensors.0123abcd-99-0.partial", verdicts(result)["partial files"][0][1])

    @unittest.skipUnless(os.access(SEGMENTS, os.W_OK), "there is no /dev/shm")
    def test_what_a_killed_job_left_in_shared_memory(self):
        left, used = (SEGMENTS / f"vader_segment.doctor-test.{os.getpid()}.{i}" for i in (1, 2))
        for path in (left, used):
            path.write_bytes(b"x" * 100)
            self.addCleanup(path.unlink)
        with used.open("rb"):
            for path in (left, used):
                os.utime(path, (time.time() - 3600,) * 2)
            result = self.succeed(2, "doctor")
        (verdict, text), = verdicts(result)["/dev/shm"]
        self.assertEqual(verdict, "WARNING", result)
        self.assertIn("segment", text)
        self.assertNotIn(used.name, result.out)

    @unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "there is only one core")
    def test_ranks_bound_to_one_core(self):
        core = min(os.sched_getaffinity(0))
        result = self.examine_apart(2, f"exec taskset -c {core} {LAUNCHER} doctor")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(verdicts(result)["cores"][0][0], "WARNING", result)
        self.assertIn(f"2 ranks on 1 core ({core})", verdicts(result)["cores"][0][1])

    def test_options(self):
        self.assertIn("--output", self.succeed(1, "doctor", "--help").out)
        self.expect_error(["timeout", "second"], "doctor", "--timeout", "0", ranks=[2])


class Train(LauncherTest):
    def test_says_how_gradients_travel(self):
        for ranks in RANKS:
            out = self.succeed(ranks, "train", "--train-samples", "32", "--test-samples", "8", "--epochs", "1").out
            self.assertIn(f"1 host x {ranks} rank", out)
            self.assertIn("gradients ", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
