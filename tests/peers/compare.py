"""Runs peers and Lockstep in turns and prints ratios of medians: compare.py kernels|step|scaling|sums|memory|python"""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

TURNS = 3
LAUNCHER = "build/lockstep"
MLP = "batchnorm, linear 300, relu, batchnorm, linear 100, relu, batchnorm, linear 10"
CNN = ("conv 16 3x3 pad 1, batchnorm, relu, maxpool 2, conv 32 3x3 pad 1, batchnorm, relu, maxpool 2, "
       "conv 64 3x3 pad 1, batchnorm, relu, global-average-pool, linear 10")


def pinned(command, core=None):
    """On one core of its own: the last, for the first one serves interrupts."""
    return ["taskset", "-c", str(os.cpu_count() - 1 if core is None else core)] + command


# Lockstep puts large arrays on huge pages: so let malloc do for the peers, of whose data the benchmarks otherwise
# spend a fifth of their time on translating addresses.
HUGE_PAGES = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def bench(what, ranks=1, *options):
    """The rows of `lockstep bench`."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [LAUNCHER, "bench", what, "--json", file.name, *options]
        if ranks > 1:
            command = ["mpirun", "-n", str(ranks), "--bind-to", "core"] + command
        else:
            command = pinned(command)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.load(open(file.name))["rows"]


def torch_kernels(cases):
    """Microseconds of forward and backward of each (N, C, H, W, layout)."""
    script = r"""
import sys, time, statistics, json, torch
torch.set_num_threads(1)
def median(work):
    work(); start = time.perf_counter(); work(); once = time.perf_counter() - start
    count = max(1, int(2e-3 / once)); turns = []
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(count): work()
        turns.append((time.perf_counter() - start) / count * 1e6)
    return statistics.median(turns)
for n, c, h, w, layout in json.loads(sys.argv[1]):
    shape = (n, c) if h * w == 1 else (n, c, h, w)
    form = torch.channels_last if layout == "last" and h * w > 1 else torch.contiguous_format
    x, dz = (torch.rand(shape).contiguous(memory_format=form) for _ in range(2))
    weight, bias, mean, var = torch.ones(c), torch.zeros(c), torch.zeros(c), torch.ones(c)
    z, saved_mean, saved_inverse = torch.native_batch_norm(x, weight, bias, mean, var, True, 0.1, 1e-5)
    forward = median(lambda: torch.native_batch_norm(x, weight, bias, mean, var, True, 0.1, 1e-5))
    backward = median(lambda: torch.ops.aten.native_batch_norm_backward(
        dz, x, weight, mean, var, saved_mean, saved_inverse, True, 1e-5, [True, True, True]))
    print(forward, backward)
"""
    output = subprocess.run(pinned(["/usr/bin/python3", "-c", script, json.dumps(cases)]), check=True,
                            capture_output=True, text=True, env=HUGE_PAGES).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def onednn_kernels(cases):
    lines = "\n".join(" ".join(map(str, case)) for case in cases)
    output = subprocess.run(pinned(["build/onednn_kernels"]), input=lines, check=True, capture_output=True,
                            text=True, env=HUGE_PAGES).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def medians(runs):
    """Element-wise medians of several equally shaped lists of tuples."""
    return [tuple(statistics.median(values) for values in zip(*same)) for same in zip(*runs)]


def kernels():
    ours, torch_runs, onednn_runs, blocked_runs = [], [], [], []
    for _ in range(TURNS):
        rows = bench("kernels")
        cases = []
        for row in rows:
            extents = [int(e) for e in row["shape"].split("x")] + [1, 1]
            cases.append((*extents[:4], "first" if row["layout"] == "first" else "last"))
        ours.append([(row["forward us"], row["backward us"]) for row in rows])
        torch_runs.append(torch_kernels(cases))
        onednn_runs.append(onednn_kernels(cases))
        blocked = [case[:4] + ("blocked",) if case[2] * case[3] > 1 and case[1] % 16 == 0 else case for case in cases]
        blocked_runs.append(onednn_kernels(blocked))
    limits = [(row["limit us"], row["limit us "]) for row in rows]
    print(f"{'shape':>14} {'layout':>6} {'':>8} {'ours':>9} {'PyTorch':>9} {'oneDNN':>9} {'blocked':>9} "
          f"{'to best peer':>12} {'goal':>5} {'to limit':>8}")
    for row, mine, torch, dnn, blocked, limit in zip(rows, medians(ours), medians(torch_runs), medians(onednn_runs),
                                                     medians(blocked_runs), limits):
        goal = 0.33 if row["layout"] == "first" else 0.67
        for k, name in enumerate(("forward", "backward")):
            # Channels-last must beat the peers' best layout for that shape; channels-first theirs in channels-first.
            peers = [torch[k], dnn[k]] + ([] if row["layout"] == "first" else [blocked[k]])
            print(f"{row['shape']:>14} {row['layout']:>6} {name:>8} {mine[k]:9.1f} {torch[k]:9.1f} {dnn[k]:9.1f} "
                  f"{blocked[k]:9.1f} {mine[k] / min(peers):12.2f} {goal:5.2f} {mine[k] / limit[k]:8.2f}")


def torch_step(kind, ranks, mode):
    """Microseconds of a step and megabytes of rank 0."""
    port = str(random.randint(20000, 30000))
    processes = [subprocess.Popen(pinned(["/usr/bin/python3", "tests/peers/torch_steps.py", str(rank), str(ranks), port,
                                          kind, mode], rank % os.cpu_count()), stdout=subprocess.PIPE, text=True,
                                  env=HUGE_PAGES)
                 for rank in range(ranks)]
    outputs = [process.communicate()[0] for process in processes]
    return tuple(map(float, outputs[0].split()))


def our_step(kind, ranks):
    rows = bench("step", ranks, "--batch-size", "64", "--model", MLP if kind == "mlp" else CNN)
    times = {row["part"]: row["us"] for row in rows}
    return times["step, local statistics"], times["step, synchronized statistics"]


def step():
    print(f"{'network':>8} {'ranks':>5} {'mode':>6} {'ours us':>9} {'PyTorch us':>11} {'ratio':>6}")
    for kind in ("mlp", "cnn"):
        for ranks in (1, 2):
            ours, local, sync = [], [], []
            for _ in range(TURNS):
                ours.append(our_step(kind, ranks))
                local.append(torch_step(kind, ranks, "local")[0])
                sync.append(torch_step(kind, ranks, "sync")[0])
            mine = [statistics.median(values) for values in zip(*ours)]
            for mode, own, peer in (("local", mine[0], local), ("sync", mine[1], sync)):
                peer = statistics.median(peer)
                print(f"{kind:>8} {ranks:>5} {mode:>6} {own:9.0f} {peer:11.0f} {own / peer:6.2f}")
            sync_to_local = statistics.median(turn[1] / turn[0] for turn in ours)
            print(f"{kind:>8} {ranks:>5} sync to local: {sync_to_local:.3f} (goal 1.05)")


def scaling():
    """Samples per second of 2 ranks to those of 1, beside what 2 processes reach that exchange nothing."""
    print(f"{'network':>8} {'weak':>6} {'goal':>5} {'apart':>6}")
    for kind, goal in (("mlp", 1.8), ("cnn", 1.95)):
        runs = [bench("scaling", 2, "--batch-size", "64", "--model", MLP if kind == "mlp" else CNN)[1]
                for _ in range(TURNS)]
        weak, apart = (statistics.median(run[name] for run in runs) for name in ("speed-up", "speed-up "))
        print(f"{kind:>8} {weak:6.2f} {goal:5.2f} {apart:6.2f}")


def sums():
    """Sums of floats over 2 ranks along the fixed tree, in messages and in shared memory, beside MPI_Allreduce."""
    runs = [bench("allreduce", 2) for _ in range(TURNS)]
    forms = ("automatic", "shared memory")
    print(f"{'bytes':>9} {'MPI us':>9}" + "".join(f" {form + ' us':>16} {'ratio':>6} {'us more':>8}" for form in forms))
    for rows in zip(*runs):
        mpi, *ours = (statistics.median(row[name] for row in rows) for name in ("MPI_Allreduce", *forms))
        print(f"{rows[0]['bytes']:9} {mpi:9.2f}" + "".join(f" {us:16.2f} {us / mpi:6.2f} {us - mpi:8.2f}" for us in ours))


def memory():
    print(f"{'network':>8} {'ours MB':>9} {'PyTorch MB':>11} {'ratio':>6}")
    for kind in ("mlp", "cnn"):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                ["/usr/bin/python3", "-c", """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
""", LAUNCHER, "train", "--model", MLP if kind == "mlp" else CNN, "--batch-size", "64", "--epochs", "1",
                 "--output", os.path.join(folder, "run")], check=True, capture_output=True, text=True)
        ours = float(run.stdout.split()[-1])
        peer = torch_step(kind, 1, "local")[1]
        print(f"{kind:>8} {ours:9.0f} {peer:11.0f} {ours / peer:6.2f}")


def python():
    """Our layer in PyTorch beside PyTorch's own: python_layer.py takes the turns itself."""
    subprocess.run(["mpirun", "-n", "2", "--bind-to", "core", "/usr/bin/python3", "tests/peers/python_layer.py"], check=True,
                   env={**HUGE_PAGES, "PYTHONPATH": "build/python"})


if __name__ == "__main__":
    {"kernels": kernels, "step": step, "scaling": scaling, "sums": sums, "memory": memory, "python": python}[sys.argv[1]]()
