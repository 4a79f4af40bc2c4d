"""The examples print on 3 ranks what they print on one."""
import os
import socket
import subprocess
import sys
import unittest

from support import mpi4py_has_our_mpi, need, run_tests

need("numpy")

SOURCE = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Examples(unittest.TestCase):
    def run_example(self, name, pattern, packages):
        for package in packages:
            if subprocess.run([sys.executable, "-c", f"import {package}"], stderr=subprocess.DEVNULL, check=False).returncode:
                self.skipTest(f"no {package}")
            if package == "mpi4py" and not mpi4py_has_our_mpi():
                self.skipTest("mpi4py has been built with another MPI")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        result = subprocess.run([os.path.join(SOURCE, "tests", "support", "same_output"), "--seconds", "60", sys.executable,
                                 os.path.join(SOURCE, "examples", name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False, env={**os.environ, "MASTER_PORT": str(port)})
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, pattern)

    def test_numpy(self):
        self.run_example("numpy_batch_norm.py", r"(?m)^loss after 200 steps: 0\.00[345]\d+$", ["mpi4py"])

    def test_torch(self):
        self.run_example("torch_batch_norm.py", r"(?m)^2[34]\d of 240 right; ", ["torch"])


if __name__ == "__main__":
    run_tests(verbosity=2)
