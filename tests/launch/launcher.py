"""What the tests of the executable share: starting it under mpirun with a watchdog, and small data to feed it.

The environment says what to test: LOCKSTEP_LAUNCHER is the executable, beside which lies the mpirun of its MPI,
LOCKSTEP_TEST_RANKS the numbers of ranks ("1 2 3"), LOCKSTEP_TIME_FACTOR how much slower than a release build it is.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHER = os.environ.get("LOCKSTEP_LAUNCHER", str(ROOT / "build" / "lockstep"))
MPIRUN = str(pathlib.Path(LAUNCHER).with_name("mpirun"))
# What mpirun does with signals, and says of ranks that fail, is its own.
OPEN_MPI_4 = os.path.exists(MPIRUN) and "Open MPI v4" in pathlib.Path(MPIRUN).read_text()
RANKS = [int(n) for n in os.environ.get("LOCKSTEP_TEST_RANKS", "2").split()]
TIME_FACTOR = float(os.environ.get("LOCKSTEP_TIME_FACTOR", "1"))
WATCHDOG_SECONDS = int(30 * TIME_FACTOR)
ANY_DIGITS = ["--train-samples", "96", "--test-samples", "40", "--batch-size", "8"]
# How Open MPI and what is built on PMIx, MPICH and what speaks its protocol tell a process its rank.
RANK_VARIABLES = (b"OMPI_COMM_WORLD_RANK", b"PMIX_RANK", b"PMI_RANK")
SMALL_MODEL = ["--model", "batchnorm, linear 12, relu, batchnorm, linear 10"]
QUICK = ANY_DIGITS + SMALL_MODEL + ["--epochs", "1"]
# mpirun leaves ranks a second to end by themselves, or two; tests of errors need not wait so often.
os.environ["OMPI_MCA_odls_base_sigkill_timeout"] = "0"


class Result:
    """What a program left behind."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def lines(self):
        return self.out.replace("\r\n", "\n").rstrip("\n").split("\n")

    @property
    def error_lines(self):
        # Each once: mpirun has been seen to pass on a line twice when it ends a rank that hangs.
        return list(dict.fromkeys(line for line in self.err.split("\n") if line.startswith("lockstep: ")))

    @property
    def fingerprint(self):
        name, _, value = self.lines[-1].partition(": ")
        assert name == "fingerprint" and len(value) == 16 and int(value, 16) >= 0, self.lines[-1]
        return value

    def __str__(self):
        return f"exit code {self.code} after {self.seconds:.1f} s\n--- output\n{self.out}\n--- errors\n{self.err}"


def command_line(ranks, *arguments, seconds=WATCHDOG_SECONDS):
    return [MPIRUN, "--seconds", str(seconds), "-n", str(ranks), LAUNCHER, *map(str, arguments)]


def start(ranks, *arguments, folder=None, seconds=WATCHDOG_SECONDS):
    """Starts without waiting; the process group is the caller's to end."""
    return subprocess.Popen(command_line(ranks, *arguments, seconds=seconds), cwd=folder, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, begin):
    out, err = process.communicate()
    return Result(process.returncode, out, err, time.monotonic() - begin)


def run(ranks, *arguments, folder=None, seconds=WATCHDOG_SECONDS):
    begin = time.monotonic()
    return finish(start(ranks, *arguments, folder=folder, seconds=seconds), begin)


def rank_processes(process):
    """The process ids of the ranks under a started mpirun, by rank."""
    ranks = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
            program = os.readlink(entry / "exe")
            ancestors = ancestors_of(int(entry.name))
        except OSError:
            continue
        if os.path.realpath(LAUNCHER) == program and process.pid in ancestors:
            for word in words:
                name, _, value = word.partition(b"=")
                if name in RANK_VARIABLES:
                    ranks[int(value)] = int(entry.name)
    return ranks


def ancestors_of(pid):
    found = []
    while pid > 1:
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds * TIME_FACTOR
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("what the test waits for does not happen")


def idx_bytes(dimensions, values):
    return struct.pack(">HBB", 0, 8, len(dimensions)) + struct.pack(f">{len(dimensions)}I", *dimensions) + values


def random_bytes(count, seed):
    """The upper bits of a linear congruential generator: the same on every machine."""
    values = bytearray()
    for _ in range(count):
        seed = (1103515245 * seed + 12345) % 2**31
        values.append(seed >> 16 & 255)
    return bytes(values)


def write_idx_data(folder, train=60, test=20, side=5, classes=10):
    """A data set under MNIST's file names: noise, with labels that depend on a pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("t10k", test)):
        pixels = random_bytes(count * side * side, count)
        labels = bytes(pixels[i * side * side] * classes // 256 for i in range(count))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx_bytes([count, side, side], pixels))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx_bytes([count], labels))
    return folder


def read_safetensors(path):
    """Names to (type, shape, bytes), read by the format's description alone."""
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def write_safetensors(path, tensors, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (kind, shape, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_metadata(path):
    """Without the checksums, as of a file that another program writes with what it finds."""
    content = pathlib.Path(path).read_bytes()
    metadata = json.loads(content[8:8 + struct.unpack("<Q", content[:8])[0]]).get("__metadata__", {})
    return {key: value for key, value in metadata.items() if not key.endswith("checksum") and
            not key.endswith("checksums")}


def read_metrics(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


class LauncherTest(unittest.TestCase):
    """A test with a folder of its own, in which the launcher runs."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def succeed(self, ranks, *arguments, seconds=WATCHDOG_SECONDS):
        result = run(ranks, *arguments, folder=self.folder, seconds=seconds)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.error_lines, [], result)
        return result

    def expect_error(self, what, *arguments, ranks=None, seconds=12):
        """One line that holds `what` (one text or several), no hang, and an exit code that says failure. Also where one rank
        alone meets the error the others learn of it, and all end by themselves: nobody aborts them."""
        for n in ranks or RANKS:
            with self.subTest(ranks=n, arguments=arguments):
                result = run(n, *arguments, folder=self.folder)
                self.check_error(what, result, seconds)
                self.assertNotIn("MPI_ABORT", result.err.upper(), result)
                if OPEN_MPI_4:  # whose banner of an abort gets lost as often as not
                    self.assertIn("exited with non-zero status", result.err, result)

    def check_error(self, what, result, seconds=12):
        self.assertNotIn(result.code, (0, 124), result)
        self.assertEqual(len(result.error_lines), 1, result)
        self.assertRegex(result.error_lines[0], r"^lockstep: rank \d+: ", result)
        for text in [what] if isinstance(what, str) else what:
            self.assertIn(text, result.error_lines[0], result)
        self.assertLess(result.seconds, seconds * TIME_FACTOR, result)
