"""A rank that ends by an exception, or leaves, does not let the others wait: whole programs under mpirun."""
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from support import need, run_tests

need("numpy")

MPIRUN = os.path.join(os.path.dirname(__file__), "..", "support", "mpirun")
SECONDS = 60  # of which none may be spent waiting for a time-out


class Failures(unittest.TestCase):
    def run_ranks(self, program, ranks=2):
        """Exit code and output of a program in which rank 1 is to fail. Its ranks' time-out is 300 s."""
        program = "import sys, numpy as np, lockstep\n" + textwrap.dedent(program)
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(program)
            file.flush()
            begin = time.monotonic()
            result = subprocess.run([MPIRUN, "--seconds", str(SECONDS), "-n", str(ranks), sys.executable, file.name],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertLess(time.monotonic() - begin, SECONDS, result.stdout)
        return result.returncode, result.stdout

    def test_an_uncaught_exception(self):
        code, output = self.run_ranks("""
            norm = lockstep.SyncBatchNorm(3)
            if norm.communicator.rank == 1:
                raise KeyError("no such sample")
            try:
                norm.forward(np.ones((2, 3), np.float32))
            except lockstep.CommunicationError as error:
                print("rank 0 was told:", error, flush=True)
            """)
        self.assertNotEqual(code, 0, output)
        self.assertIn("KeyError: 'no such sample'", output)
        self.assertRegex(output, "rank 0 was told: .*rank 1.*KeyError: 'no such sample'")

    def test_sys_exit_in_a_block(self):
        code, output = self.run_ranks("""
            with lockstep.Communicator() as comm:
                norm = lockstep.SyncBatchNorm(3, comm)
                if comm.rank == 1:
                    sys.exit("out of data")
                try:
                    norm.forward(np.ones((2, 3), np.float32))
                except lockstep.CommunicationError as error:
                    print("rank 0 was told:", error, flush=True)
            """)
        self.assertNotEqual(code, 0, output)
        self.assertRegex(output, "rank 0 was told: .*SystemExit: out of data")

    def test_a_program_that_ends_well(self):
        """Whatever lives at the end is freed, or left alone, without a word."""
        code, output = self.run_ranks("""
            norm = lockstep.SyncBatchNorm(3)
            z, saved = norm.forward(np.ones((2, 3), np.float32))
            precise = lockstep.PreciseStatistics(norm)
            threads = lockstep.SyncBatchNorm(3, threads=2)
            cycle = [norm, saved, precise, threads]
            cycle.append(cycle)
            other = lockstep.world().split(norm.communicator.rank)
            try:
                raise ValueError("caught: nobody hears of it")
            except ValueError:
                pass
            """, ranks=3)
        self.assertEqual((code, output), (0, ""))

    def test_calls_after_the_end(self):
        code, output = self.run_ranks("""
            import atexit
            def late():  # registered before lockstep's own, and so called after it
                for call in (lambda: norm.forward(np.ones((2, 3), np.float32)), lockstep.Communicator):
                    try:
                        call()
                    except lockstep.UsageError as error:
                        print(error)
            atexit.register(late)
            norm = lockstep.SyncBatchNorm(3)
            """)
        self.assertEqual(code, 0, output)
        self.assertEqual((output.count("MPI has been finalized"), output.count("needs MPI")), (2, 2), output)

    def test_a_fork_leaves_the_parent_alone(self):
        code, output = self.run_ranks("""
            import gc, os
            norm = lockstep.SyncBatchNorm(3)
            child = os.fork()
            if child == 0:
                del norm
                gc.collect()
                sys.exit()  # by way of what is registered for the end
            os.waitpid(child, 0)
            norm.forward(np.ones((2, 3), np.float32))
            print("went on", flush=True)
            """)
        self.assertEqual(code, 0, output)
        self.assertEqual(output.count("went on"), 2, output)

    def test_without_mpirun(self):
        """One process is a world of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI"))}
        program = "import lockstep; print(lockstep.Communicator())"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                                timeout=SECONDS, env=environment | {"OMPI_ALLOW_RUN_AS_ROOT": "1",
                                                                    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
        self.assertEqual((result.returncode, result.stdout), (0, "<lockstep.Communicator: rank 0 of 1>\n"), result.stderr)


if __name__ == "__main__":
    run_tests(verbosity=2)
