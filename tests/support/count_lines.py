"""Adds up what gcov says of the library's lines, over all objects of a build folder, and prints it by floor."""
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOWN_FILES = 12


def counts_of(notes):
    """For each source that the object of a .gcno file was compiled from: the lines that have code, and how often each ran."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", notes.name], cwd=notes.parent, text=True,
                          capture_output=True, check=False)
    found = []
    for text in done.stdout.splitlines():
        report = json.loads(text)
        folder = pathlib.Path(report["current_working_directory"])
        for file in report["files"]:
            found.append(((folder / file["file"]).resolve(), file["lines"]))
    return found


def gather(build):
    """Lines by file of lib/ and include/, each with the most that any object says of it."""
    lines = collections.defaultdict(dict)
    every = sorted(build.resolve().rglob("*.gcno"))  # also of objects of which nothing has run
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found in itertools.chain.from_iterable(pool.map(counts_of, every)):
            if not path.is_relative_to(ROOT / "lib") and not path.is_relative_to(ROOT / "include"):
                continue
            own = lines[path.relative_to(ROOT)]
            for line in found:
                number = line["line_number"]
                own[number] = max(own.get(number, 0), line["count"])
    return lines


def floor_of(path):
    return path.parts[2] if path.parts[0] == "include" and len(path.parts) > 3 else path.parts[1]


def ranges(numbers):
    text = []
    for number in numbers:
        if text and text[-1][1] == number - 1:
            text[-1][1] = number
        else:
            text.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in text)


def main():
    lines = gather(pathlib.Path(sys.argv[1]))
    if not lines:
        sys.exit("There is nothing to count: no test of an instrumented build has run")
    floors = collections.defaultdict(lambda: [0, 0])
    for path, own in lines.items():
        for name in (floor_of(path), "all"):
            floors[name][0] += sum(count > 0 for count in own.values())
            floors[name][1] += len(own)
    print(f"\n{'floor':<10} {'lines':>7} {'run':>7} {'share':>8}")
    for name, (run, total) in sorted(floors.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"{name:<10} {total:>7} {run:>7} {100 * run / total:>6.1f} %")
    missed = {path: sorted(n for n, count in own.items() if count == 0) for path, own in lines.items()}
    print("\nMost lines that no test runs:")
    for path, numbers in sorted(missed.items(), key=lambda item: -len(item[1]))[:SHOWN_FILES]:
        print(f"{len(numbers):>5} of {len(lines[path]):>4}  {path}: {ranges(numbers)}")


if __name__ == "__main__":
    main()
