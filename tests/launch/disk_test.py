"""Disks and folders that fail while a run goes on: one line that names the file, an end of all ranks, and a checkpoint
that the run can be continued from."""
import os
import resource
import shutil
import time
import unittest

from launcher import LauncherTest, finish, rank_processes, start, wait_for

RUN = ["train", "--train-samples", "96", "--test-samples", "40", "--batch-size", "8", "--replicas", "2", "--model",
       "batchnorm, linear 10"]


class Disk(LauncherTest):
    def begin(self, *arguments):
        """A run on two ranks that has its first checkpoint."""
        process = start(2, *RUN, "--output", "run", *arguments, folder=self.folder)
        wait_for((self.folder / "run" / "checkpoint.safetensors").exists)
        return process

    def test_a_disk_that_is_full_leaves_a_run_that_can_be_continued(self):
        epochs = ["--epochs", "1000"]
        whole = self.succeed(1, *RUN, *epochs, "--output", "whole", seconds=120)
        process = self.begin(*epochs)
        begin = time.monotonic()
        resource.prlimit(rank_processes(process)[0], resource.RLIMIT_FSIZE, (1024, 1024))
        self.check_error(["run/", "File too large"], finish(process, begin))
        self.assertEqual([file.name for file in (self.folder / "run").iterdir() if file.name.endswith(".partial")], [])
        self.assertFalse((self.folder / "run" / "model.safetensors").exists())
        continued = self.succeed(1, "train", "--resume", "--output", "run", seconds=120)
        self.assertIn("resumed after epoch", continued.out)
        self.assertEqual(continued.fingerprint, whole.fingerprint)

    def test_a_folder_that_is_removed(self):
        process = self.begin("--epochs", "1000000")
        begin = time.monotonic()
        (self.folder / "run").rename(self.folder / "gone")
        shutil.rmtree(self.folder / "gone")
        self.check_error(["run/metrics.jsonl", "was removed"], finish(process, begin))

    def test_data_that_change(self):
        header = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }\n"

        def write(name, shape, values):
            text = (header % shape).encode()
            (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values)

        write("x.npy", "96, 4", bytes(i * 7 % 256 for i in range(384)))
        write("y.npy", "96,", bytes(i % 3 for i in range(96)))
        process = start(2, "train", "--data", "x.npy:y.npy", "--model", "batchnorm, linear 3", "--batch-size", "8",
                        "--epochs", "1000000", "--output", "run", folder=self.folder)
        wait_for((self.folder / "run" / "checkpoint.safetensors").exists)
        begin = time.monotonic()
        with (self.folder / "x.npy").open("r+b") as file:  # the same size
            file.seek(-4, os.SEEK_END)
            file.write(b"else")
        self.check_error(["x.npy", "changed"], finish(process, begin))
        self.expect_error(["data", "was", "is"], "train", "--resume", "--output", "run", ranks=[2])

    def test_a_folder_in_which_nothing_can_be_written(self):
        self.expect_error(["/proc/", "cannot be made"], *RUN, "--output", "/proc/run", ranks=[2])
        if os.geteuid() != 0:  # whom no mode keeps out
            (self.folder / "closed").mkdir(mode=0o500)
            self.expect_error("Permission denied", *RUN, "--output", "closed", ranks=[2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
