"""Several hosts on one machine: namespaces of Linux joined by a switch, with an agent in place of ssh.

    with Cluster(hosts=2) as cluster:
        result = cluster.run([2, 2], "train", ...)      # two ranks on each of node1 and node2

All of it lives within one outer PID namespace, "head", whose first process ends when its standard input does. So
whatever becomes of the test, even SIGKILL, the kernel ends every process, and with the last of them go the namespaces,
the links and the file systems, which are all in memory. Nothing is written to a folder of the machine:

    PLACE/shared   what all hosts see, as a cluster's shared file system; the test reads it as cluster.folder
    PLACE/local    each host's own: TMPDIR
    /dev/shm, /proc, /etc/hosts, host name, IPC, processes, and one network interface, eth0: each host's own

mpirun runs on head, which sees the processes of all hosts; ranks run on node1, node2, ...

The environment says what to test, as for tests/launch/launcher.py; besides, LOCKSTEP_MPIRUN is the mpirun of the MPI.
"""
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "launch"))

from launcher import LAUNCHER, RANK_VARIABLES, TIME_FACTOR, Result, wait_for  # noqa: E402 (its folder has just become known)

MPIRUN = shutil.which(os.environ.get("LOCKSTEP_MPIRUN") or "mpirun") or "mpirun"
SWITCH = HERE / "switch.py"
NETWORK = "10.93.0"
HEAD = "head"
SECONDS = int(60 * TIME_FACTOR)
SKIPPED = 77
NAMESPACES = ["--net", "--uts", "--mount", "--pid", "--ipc"]
TOOLS = ("unshare", "nsenter", "ip", "mount", "hostname", "timeout")

# $place, $network and $names come with the environment. The last line waits for the test to end.
SET_UP_HEAD = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs "$place"
mkdir "$place/shared" "$place/local" "$place/pids"
mount -t tmpfs tmpfs "$place/local"
{ echo "127.0.0.1 localhost"; number=0; for name in $names; do number=$((number + 1)); echo "$network.$number $name"; done
} > "$place/hosts"
mount --bind "$place/hosts" /etc/hosts
hostname head
ip link set lo up
if [ "$switch" = bridge ]; then
    # An address of its own: else it takes those of its hosts, another one when one of them goes, and the others wonder.
    ip link add eth0 address 02:00:00:00:00:01 type bridge
    ip address add "$network.100/24" dev eth0
    ip link set eth0 up
fi
echo ready
read -r _ || true
"""

SET_UP_HOST = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs "$place/local"
hostname "$name"
ip link set lo up
echo ready > "$place/pids/$name.ready"
sleep infinity & wait
"""

# In place of ssh: agent HOST WORD...
AGENT = r"""#!/bin/bash
name=$1; shift
exec nsenter -t "$(cat "{place}/pids/$name")" -n -u -i -m -p --wd="$PWD" -- bash -c "$*"
"""


def a_place():
    """A folder that every Linux has and that nothing of ours lies in: to be hidden within the namespaces."""
    used = [pathlib.Path(path).resolve() for path in (ROOT, LAUNCHER, MPIRUN, sys.executable)]
    for place in map(pathlib.Path, ("/mnt", "/media", "/srv", "/opt")):
        if place.is_dir() and not any(path.is_relative_to(place) for path in used):
            return place
    return None


def reason_to_skip():
    """Why there can be no hosts here; None if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces need Linux and root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if a_place() is None:
        return "no empty folder for the hosts' files"
    version = subprocess.run([MPIRUN, "--version"], text=True, capture_output=True, check=False).stdout
    if not re.search(r"\((Open MPI|OpenRTE)\) 4\.", version):
        return "the hosts' agent is for the mpirun of Open MPI 4"
    attempt = subprocess.run(["unshare", *NAMESPACES, "--fork", "sh", "-c",
                              "ip link add v0 type veth && ip link add b0 type bridge && mount -t tmpfs tmpfs /mnt"],
                             text=True, capture_output=True, check=False)
    if attempt.returncode != 0:
        return f"namespaces are not allowed here: {attempt.stderr.strip()}"
    return None


def reason_for_no_switch():
    """Why the network between hosts can be neither slow nor bad; None if it can."""
    return None if os.path.exists("/dev/net/tun") else "there is no /dev/net/tun"


def skip_if_impossible():
    """For a whole program: ends it with ctest's code for a test that is skipped."""
    reason = reason_to_skip()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)


class Cluster:
    """Hosts node1 … nodeN, until close(). With `delay` (seconds, one way between two hosts) or `loss` (share of the
    packets) the switch is a program of ours: the kernel's own delays (netem) are missing on many machines."""

    def __init__(self, hosts, delay=0.0, loss=0.0, mtu=1500):
        self.names = [f"node{i + 1}" for i in range(hosts)]
        self.place = a_place()
        self.children = []
        self.slow = delay > 0 or loss > 0
        self.mtu = mtu
        try:
            self._start_head()
            for name in self.names:
                self._start_host(name)
            self._join(delay, loss)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends everything, and returns when the kernel has done it."""
        if self.children:
            self.children[0].stdin.close()  # the head's first process ends, and the kernel ends all others
        for child in self.children:
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
            if child.stdout:
                child.stdout.close()
        self.children = []

    # What the machine gives to the hosts.

    def _start_head(self):
        environment = os.environ | {"place": str(self.place), "network": NETWORK, "names": " ".join(self.names),
                                    "switch": "own" if self.slow else "bridge"}
        head = subprocess.Popen(["unshare", *NAMESPACES, "--fork", "--kill-child", "bash", "-c", SET_UP_HEAD],
                                env=environment, text=True, start_new_session=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        self.children.append(head)
        if head.stdout.readline() != "ready\n":
            raise AssertionError("the namespaces of the head could not be set up")
        self.head = the_child_of(head.pid)
        self.root = pathlib.Path(f"/proc/{self.head}/root{self.place}")
        self.work_in("")
        agent = self.root / "agent"
        agent.write_text(AGENT.format(place=self.place))
        agent.chmod(0o755)

    def _start_host(self, name):
        """Under the head's first process: so that its PID namespace is within the head's."""
        script = f"name={name} place={self.place} unshare {shlex.join(NAMESPACES)} --fork --kill-child " \
                 f"bash -c {shlex.quote(SET_UP_HOST)} & echo $!; wait"
        host = subprocess.Popen(self.on_head("bash", "-c", script), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE)
        self.children.append(host)
        outer = int(host.stdout.readline())  # its number on the head
        wait_for(lambda: (self.root / "pids" / f"{name}.ready").exists())
        inner = self.head_output("cat", f"/proc/{outer}/task/{outer}/children").strip()
        (self.root / "pids" / name).write_text(inner)

    def _join(self, delay, loss):
        if self.slow:
            self._start_switch(delay, loss)
        for number, name in enumerate(self.names, 1):
            if not self.slow:
                self.head_output("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns",
                                 self.pid(name))
                self.head_output("ip", "link", "set", f"to-{name}", "master", "eth0", "up")
            self.output_on(name, "ip", "address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            self.output_on(name, "ip", "link", "set", "eth0", "up")
            self.output_on(name, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/tcp_slow_start_after_idle")

    def _start_switch(self, delay, loss):
        words = [sys.executable, SWITCH, "--delay", delay, "--loss", loss, "--mtu", self.mtu, HEAD, *self.names]
        switch = subprocess.Popen(self.on_head(*words), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.children.append(switch)
        if switch.stdout.readline() != "ready\n":
            raise AssertionError("the switch could not be set up")
        for name in self.names:
            self.head_output("ip", "link", "set", f"to-{name}", "netns", self.pid(name), "name", "eth0")
        self.head_output("ip", "link", "set", f"to-{HEAD}", "name", "eth0")
        self.head_output("ip", "address", "add", f"{NETWORK}.100/24", "dev", "eth0")
        self.head_output("ip", "link", "set", "eth0", "up")

    def local(self, name):
        """The path of a file on a host's own disk."""
        return self.place / "local" / name

    # Commands on the hosts.

    def work_in(self, name):
        """Makes a folder that all hosts see; programs are started in it from now on."""
        self.inner_folder = self.place / "shared" / name
        self.folder = self.root / "shared" / name
        self.folder.mkdir(exist_ok=True)

    def pid(self, name):
        """The host's first process as the head numbers it."""
        return (self.root / "pids" / name).read_text()

    def on_head(self, *words):
        """The command line that runs `words` on the head, in the shared folder once there is one."""
        enter = ["nsenter", "-t", str(self.head), "-n", "-u", "-m", "-p", "-i", f"--wd=/proc/{self.head}/root"]
        return [*enter, "--", "env", f"TMPDIR={self.place}/local", *map(str, words)]

    def head_output(self, *words):
        return subprocess.run(self.on_head(*words), text=True, check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE).stdout

    def output_on(self, name, *words):
        return self.head_output(self.place / "agent", name, shlex.join(map(str, words)))

    def mpirun(self, ranks, *programs, by="slot", options=(), seconds=SECONDS):
        """The command line that starts `programs` (lists of words, one for all ranks or one for each rank) with
        ranks[i] ranks on the i-th host."""
        count = sum(ranks)
        hosts = ",".join(f"{name}:{n}" for name, n in zip(self.names, ranks) if n)
        settings = {"plm": "rsh", "plm_rsh_agent": self.place / "agent", "plm_rsh_no_tree_spawn": 1,
                    "oob_tcp_if_include": f"{NETWORK}.0/24", "btl_tcp_if_include": f"{NETWORK}.0/24", "pml": "ob1",
                    "btl": "tcp,vader,self", "btl_vader_single_copy_mechanism": "none", "mpi_yield_when_idle": 1,
                    "btl_base_warn_component_unused": 0, "odls_base_sigkill_timeout": 0}
        words = ["timeout", "--kill-after=5", seconds, MPIRUN, "--allow-run-as-root", "--bind-to", "none",
                 "--map-by", by, "--host", hosts]
        for name, value in settings.items():
            words += ["--mca", name, value]
        words += ["-x", "OMP_NUM_THREADS=1", "-x", f"LOCKSTEP_EXPECTED_RANKS={count}", *options]
        for i, program in enumerate(programs):
            words += [*([":"] if i else []), "-n", count if len(programs) == 1 else 1, *program]
        return self.on_head("sh", "-c", f"cd {self.inner_folder} && exec {shlex.join(map(str, words))}")

    def start(self, ranks, *programs, **more):
        return subprocess.Popen(self.mpirun(ranks, *programs, **more), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, process, begin):
        out, err = process.communicate()
        return Result(process.returncode, out, err, time.monotonic() - begin)

    def end(self, process):
        """Ends a started mpirun that does not end by itself; what it has started goes with the cluster."""
        os.killpg(the_child_of(process.pid), signal.SIGKILL)  # the leader of its group is `timeout`
        process.communicate()

    def run(self, ranks, *arguments, **more):
        """The launcher with `arguments`, the same on every rank."""
        begin = time.monotonic()
        return self.finish(self.start(ranks, [LAUNCHER, *arguments], **more), begin)

    # What a test looks at.

    def sent_bytes(self, name):
        """Bytes that have left the host, with the headers of their packets."""
        for line in self.output_on(name, "cat", "/proc/net/dev").splitlines():
            interface, _, counters = line.strip().partition(":")
            if interface == "eth0":
                return int(counters.split()[8])
        raise AssertionError(f"{name} has no network")

    def sent_again(self, name):
        """How many of its packets TCP has sent more than once."""
        lines = self.output_on(name, "cat", "/proc/net/snmp").splitlines()
        names, values = [line.split() for line in lines if line.startswith("Tcp:")]
        return int(values[names.index("RetransSegs")])

    def cut_off(self, name):
        """Takes the host's cable out of the switch (the kernel's, not ours)."""
        self.head_output("ip", "link", "set", f"to-{name}", "down")

    def kill(self, name):
        """Ends the host as a power cut does: with its first process go all others, and its network."""
        self.head_output("kill", "-KILL", self.pid(name))

    def ranks(self):
        """(host, process number on this machine) of each rank that runs, by rank."""
        found = {}
        for entry in processes():
            try:
                if os.readlink(entry / "exe") != os.path.realpath(LAUNCHER) or not self.has(entry):
                    continue
                words = (entry / "environ").read_bytes().split(b"\0")
                root = host_of(entry)
            except OSError:
                continue
            for word in words:
                key, _, value = word.partition(b"=")
                if key in RANK_VARIABLES:
                    found[int(value)] = (root, int(entry.name))
        return found

    def has(self, entry):
        """Whether the process /proc/NUMBER belongs to this cluster: it sees the shared folder."""
        try:
            return os.stat(f"{entry}/root{self.place}/shared").st_dev == os.stat(self.root).st_dev
        except OSError:  # it has ended meanwhile, or has no such folder
            return False

    def namespaces(self):
        """Every namespace of the cluster, as the kernel names it."""
        ours = namespaces_of(pathlib.Path("/proc/self"))
        return {name for entry in processes() if self.has(entry) for name in namespaces_of(entry)} - ours


def processes():
    return [entry for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]


def the_child_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def host_of(entry):
    """The host name that a process sees."""
    words = ["nsenter", "-t", entry.name, "-u", "hostname"]
    return subprocess.run(words, text=True, check=True, stdout=subprocess.PIPE).stdout.strip()


def namespaces_of(entry):
    try:
        return {os.readlink(path) for path in (entry / "ns").iterdir()}
    except OSError:  # it has ended meanwhile
        return set()
