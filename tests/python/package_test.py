"""Where the package finds its library, what it says if it does not, what works without, and the installed package."""
import os
import subprocess
import sys
import tempfile
import unittest

from support import need, run_tests

need("numpy")

SOURCE = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ["LOCKSTEP_BUILD"]
MPIRUN = os.path.join(SOURCE, "tests", "support", "mpirun")
SECONDS = 60


def environment(**more):
    without = {name: value for name, value in os.environ.items() if name not in ("LOCKSTEP_LIBRARY", "LD_LIBRARY_PATH")}
    return {**without, **{name: str(value) for name, value in more.items()}}


class Package(unittest.TestCase):
    def python(self, program, *, code=0, **variables):
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                                timeout=SECONDS, env=environment(**variables))
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout if code == 0 else result.stderr

    def library_path(self, **variables):
        return self.python("from lockstep._library import library; print(library().path)", **variables).strip()

    def import_error(self, *words, program="import lockstep; lockstep.Communicator()", **variables):
        text = self.python(program, code=1, **variables).strip().splitlines()[-1]
        self.assertTrue(text.startswith("ImportError: "), text)
        for word in words:
            self.assertIn(word, text)

    def test_the_library_that_belongs_to_the_package(self):
        path = self.library_path()
        self.assertTrue(os.path.samefile(os.path.commonpath([path, BUILD]), BUILD), path)

    def test_the_library_that_is_named(self):
        path = self.library_path()
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "another_name.so")
            os.symlink(path, copy)
            self.assertEqual(self.library_path(LOCKSTEP_LIBRARY=copy), copy)
        self.import_error("/nowhere/lib.so", "LOCKSTEP_LIBRARY", LOCKSTEP_LIBRARY="/nowhere/lib.so")
        self.import_error("libm.so.6", "LOCKSTEP_LIBRARY", "no library of Lockstep", LOCKSTEP_LIBRARY="libm.so.6")

    def test_a_library_of_another_version(self):
        self.import_error("the package is Lockstep 9.8.7", "its library is", program=(
            "import lockstep._version; lockstep._version.VERSION = '9.8.7'; import lockstep; lockstep.Communicator()"))

    def test_a_package_without_a_library(self):
        """As the source tree is: the system's loader is asked, and what to do is said."""
        self.import_error("liblockstep_norm.so", "set LOCKSTEP_LIBRARY", PYTHONPATH=os.path.join(SOURCE, "lib", "python"))

    def test_the_library_of_the_loader(self):
        with tempfile.TemporaryDirectory() as folder:
            version = self.python("import lockstep; print('.'.join(lockstep.__version__.split('.')[:2]))").strip()
            os.symlink(self.library_path(), os.path.join(folder, f"liblockstep_norm.so.{version}"))
            found = self.library_path(PYTHONPATH=os.path.join(SOURCE, "lib", "python"), LD_LIBRARY_PATH=folder)
            self.assertEqual(found, f"liblockstep_norm.so.{version}")

    def test_what_it_says_of_itself(self):
        text = subprocess.run([sys.executable, "-m", "lockstep"], capture_output=True, text=True, check=True,
                              env=environment()).stdout
        for word in ("lockstep 0.", "NumPy", "library  /", "MPI  "):
            self.assertIn(word, text)
        result = subprocess.run([sys.executable, "-m", "lockstep"], capture_output=True, text=True, check=False,
                                env=environment(LOCKSTEP_LIBRARY="/nowhere/lib.so"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nowhere/lib.so", result.stdout)

    def test_evaluation_and_conversion_need_no_library(self):
        need_torch = "try:\n    import torch\nexcept ImportError:\n    raise SystemExit(0)\n"
        self.python(need_torch + """
import copy, lockstep.torch as lt
network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
x = torch.rand(8, 3)
network(x)
expected = network.eval()(x)
network = copy.deepcopy(lt.convert_sync_batchnorm(network))
assert torch.equal(network(x), expected)
assert torch.equal(lt.revert_sync_batchnorm(network)(x), expected)
lt.model_from_text("linear 3, batchnorm", (5,))
""", LOCKSTEP_LIBRARY="/nowhere/lib.so")

    def test_unknown_names(self):
        self.assertIn("has no attribute 'SyncBatchNrom'", self.python("import lockstep; lockstep.SyncBatchNrom", code=1))
        names = self.python("import lockstep; print(*dir(lockstep))").split()
        for name in ("Communicator", "SyncBatchNorm", "PreciseStatistics", "UsageError"):
            self.assertIn(name, names)

    def test_installed(self):
        """Copied to a folder of its own and moved: it finds its library beside it."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cmake", "--install", BUILD, "--prefix", os.path.join(folder, "prefix")], check=True,
                           stdout=subprocess.DEVNULL)
            moved = os.path.join(folder, "moved")
            os.rename(os.path.join(folder, "prefix"), moved)
            packages = [root for root, folders, _ in os.walk(moved) if "lockstep" in folders
                        and os.path.exists(os.path.join(root, "lockstep", "__init__.py"))]
            self.assertEqual(len(packages), 1, packages)
            self.assertIn("python3", packages[0])
            path = self.library_path(PYTHONPATH=packages[0])
            self.assertTrue(path.startswith(moved + os.sep), path)
            program = "import lockstep, numpy; norm = lockstep.SyncBatchNorm(3); norm.forward(numpy.eye(3, dtype='f'))"
            subprocess.run([MPIRUN, "--seconds", str(SECONDS), "-n", "2", sys.executable, "-c", program], check=True,
                           env=environment(PYTHONPATH=packages[0]))


if __name__ == "__main__":
    run_tests(verbosity=2)
