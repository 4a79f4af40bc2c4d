"""The commands of README.md and docs/*.md run as they stand there, in one folder and one after the other, shortened so:
at most 2 ranks, one epoch, one seed of a study, and of the data sets with a name 128 samples.

Commands that build, install or measure are left out, and those that use an installed layer (tests/install/check and
tests/python run them). Those on the arrays of examples/make_data.py need a Python with NumPy
and h5py, and are skipped without (or by a build without HDF5).
"""
import re
import shlex
import subprocess
import sys
import unittest

from launcher import LAUNCHER, ROOT, LauncherTest, run, write_idx_data

LEFT_OUT = ("launch/quickstart", "tests/run", "sbatch ", "cmake ", "build/lockstep bench ", "$(pkg-config ",
            "export PKG_CONFIG_PATH",
            "export PYTHONPATH", "python3 -m lockstep", "python3 examples/numpy_batch_norm.py")
NEEDS_ARRAYS = re.compile(r"data/\w|runs/(mine|weather)")
DATA_OF_MNIST = "FOLDER_OF_MNIST"


def documents():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands_of(text):
    """Of all blocks that are marked sh; lines that end in a backslash are joined."""
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def python_with_arrays():
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import numpy, h5py"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return python
    return None


def shortened(arguments):
    more = {}
    if arguments[0] in ("train", "compare") and "--resume" not in arguments:
        more = {"--epochs": "1"}
        if "--data" not in arguments:
            more |= {"--train-samples": "128", "--test-samples": "40"}
    if arguments[0] == "compare":
        more |= {"--seeds": "1"}
    return arguments + [word for name, value in more.items() if name not in arguments for word in (name, value)]


class Documents(LauncherTest):
    def setUp(self):
        super().setUp()
        (self.folder / "build").mkdir()
        (self.folder / "build" / "lockstep").symlink_to(LAUNCHER)
        for name in ("configs", "examples"):
            (self.folder / name).symlink_to(ROOT / name)
        write_idx_data(self.folder / DATA_OF_MNIST, train=128, test=40, side=28)
        self.python = python_with_arrays()
        self.skipped = []

    def check(self, words):
        if words[0] == "python3":
            subprocess.run([self.python, *words[1:]], cwd=self.folder, check=True)
            return
        self.assertEqual((words[0], words[1], words[3]), ("mpirun", "-n", "build/lockstep"), "it is no such command")
        result = run(min(int(words[2]), 2), *shortened(words[4:]), folder=self.folder, seconds=120)
        if "no HDF5" in result.err:
            self.skipped.append(" ".join(words))
            return
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.error_lines, [], result)

    def test_their_commands_run(self):
        count = 0
        for document in documents():
            for words in commands_of(document.read_text(encoding="utf-8")):
                command = " ".join(words)
                if any(part in command + " " for part in LEFT_OUT):
                    continue
                if self.python is None and (words[0] == "python3" or NEEDS_ARRAYS.search(command)):
                    self.skipped.append(command)
                    continue
                count += 1
                with self.subTest(document.name, command=command):
                    self.check(words)
        self.assertGreater(count, 5)
        for command in self.skipped:
            print("skipped:", command)


if __name__ == "__main__":
    unittest.main(verbosity=2)
