"""python -m benchmarks.loading: what the loader costs, as ratios; written into ``docs/loading_cost.txt``.

Each time is of a fresh process, in turn with what it is compared with, so that noise hits both alike; the medians are
compared. Memory is what one process has for itself alone (``Private_*`` of ``/proc/self/smaps_rollup``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import liblmdb_wheel
from benchmarks import report
from sharedlib_loader.build import Toolchain

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "loading_cost.txt"
LIBRARY = liblmdb_wheel.library_path("0.9")
CONSUMERS = 16

TIMED = """
import sys, time
{before}
start = time.perf_counter()
{work}
print(time.perf_counter() - start)
"""
# The description as a provider has it, so that the time of importing the provider is not counted.
DESCRIBE = f"""
def version_of(library):
    numbers = [ctypes.c_int() for _ in range(3)]
    library.mdb_version(*map(ctypes.byref, numbers))
    return ".".join(str(number.value) for number in numbers)
described = sharedlib_loader.SharedLibrary(
    name="lmdb-0.9", soname="liblmdb.so.0", path={str(LIBRARY)!r}, version="0.9.36", distribution="liblmdb-wheel",
    version_of=version_of, symbols=("mdb_env_open",),
)
"""
LOAD = f"{DESCRIBE}sharedlib_loader.load(described)"
OPEN = f"ctypes.CDLL({str(LIBRARY)!r})"

# name: what runs before the clock starts, and what is timed.
WORKS = {
    "import": ("", "import sharedlib_loader"),
    "import and load": ("", f"import sharedlib_loader, ctypes\n{LOAD}"),
    "import and CDLL": ("", f"import sharedlib_loader, ctypes\n{OPEN}"),
    "load": (f"import sharedlib_loader, ctypes\n{DESCRIBE}", "sharedlib_loader.load(described)"),
    "CDLL": ("import ctypes", OPEN),
}
CALLS = 100_000
AGAIN = f"""
import ctypes, timeit, sharedlib_loader
{LOAD}
times = timeit.repeat(lambda: sharedlib_loader.load(described), number={CALLS}, repeat=5)
print(min(times) / {CALLS})
"""

# One consumer: an extension module's worth of code that needs the library, and calls it.
CONSUMER = """
char *mdb_version(int *, int *, int *);
int use(void) { return mdb_version(0, 0, 0) != 0; }
"""
MEMORY = f"""
import ctypes, sys, sharedlib_loader
{LOAD}
kept = [ctypes.CDLL(path) for path in sys.argv[2:]]
for library in kept:
    library.use() if sys.argv[1] == "consumers" else library.mdb_version(None, None, None)
lines = open("/proc/self/smaps_rollup").read().splitlines()
print(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024)
"""


def run(script: str, *arguments: str | Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def times(rounds: int) -> dict[str, float]:
    """The median of each work, in seconds."""
    samples: dict[str, list[float]] = {name: [] for name in WORKS}
    for _ in range(rounds):
        for name, (before, work) in WORKS.items():
            samples[name].append(run(TIMED.format(before=before, work=work)))
    return {name: median(values) for name, values in samples.items()}


def memory(rounds: int, folder: Path) -> tuple[float, float]:
    """Bytes of private memory for each added consumer, and for each added copy of the library itself."""
    toolchain = Toolchain.choose(folder / "zig")
    source = folder / "consumer.c"
    source.write_text(CONSUMER)
    objects = toolchain.compile([source], ["-O2", "-fPIC"], folder / "objects")
    consumers = [folder / f"consumer{number}.so" for number in range(CONSUMERS)]
    copies = [folder / f"copy{number}.so" for number in range(CONSUMERS)]
    for consumer, copy in zip(consumers, copies, strict=True):
        toolchain.link(toolchain.cc, [*objects, LIBRARY], ["-shared", "-s", "-nostdlib"], consumer)
        copy.write_bytes(LIBRARY.read_bytes())

    def for_each(kind: str, files: list[Path]) -> float:
        one, all_of_them = (median(run(MEMORY, kind, *some) for _ in range(rounds)) for some in (files[:1], files))
        return (all_of_them - one) / (CONSUMERS - 1)

    return for_each("consumers", consumers), for_each("copies", copies)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--rounds", type=int, default=51)
    rounds = parser.parse_args().rounds
    run("import sharedlib_loader\nprint(0)")  # writes the bytecode
    found = times(rounds)
    again = min(run(AGAIN) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        consumer, copy = memory(5, Path(folder))
    machine = report.machine()
    text = f"""\
| what | measured | at most |
|---|---|---|
| `import sharedlib_loader` | {found["import"] * 1000:.2f} ms | 10 ms |
| import and first `load()`, against import and a bare `ctypes.CDLL` of the same file | \
{found["import and load"] / found["import and CDLL"]:.2f} times | 1.3 times |
| first `load()` alone, against `ctypes.CDLL` alone ({found["CDLL"] * 1e6:.0f} µs) | \
{found["load"] / found["CDLL"]:.2f} times | |
| second `load()` | {again * 1e6:.2f} µs | 2 µs |
| private memory of each added consumer | {consumer / 1024:.0f} KiB | |
| private memory of each added copy of the library, where it is bundled | {copy / 1024:.0f} KiB | |

{machine["processor"]}, {machine["system"]}, Python {sys.version.split()[0]}; medians of {rounds} fresh
processes, memory of {CONSUMERS} consumers in one process.
"""
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
