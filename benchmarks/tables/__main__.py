"""python -m benchmarks.tables: flatdb and typed tables beside zLMDB's object layer and a bare C++ program.

Writes ``docs/tables_speed.json``, ``.txt`` and ``.svg``. All work on the same records, and take turns in rounds, so
that noise hits all alike; medians are compared. Each has every processor of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import flatc_wheel
import liblmdb_wheel
from benchmarks import report
from benchmarks.contestants import BUILD, ROOT, bare_cpython, install, output, pinned
from benchmarks.tables import orders

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "order.fbs"
FLATBUFFERS = ROOT / "flatc_wheel" / "upstream" / "flatbuffers"
# As flatdb is compiled: flatc_wheel/setup.py.
COMPILE = ("-std=c++17", "-O2", "-DNDEBUG", "-DFLATBUFFERS_LOCALE_INDEPENDENT=0", "-fno-sanitize=undefined")
SOURCES = ("idl_parser.cpp", "idl_gen_text.cpp", "util.cpp", "reflection.cpp")

OURS, PEER, LIMIT = "ours", "zLMDB", "C++, parse and put"
# Loops over the same records of the same table: by flatc's Python classes, and by reflection in batches.
GENERATED, IN_PYTHON = "a loop by flatc's classes", "our own loop"
SMALLER = 10  # times: what stays in the processor's cache


@dataclass(frozen=True)
class Work:
    """A row: what ours is compared with, and the most that our time may be of its."""

    name: str
    title: str
    targets: Mapping[str, float]


WORKS = (
    Work("import", "import, one record", {PEER: 0.1, LIMIT: 2}),
    Work("read", "one field of a record by its key", {PEER: 0.5}),
    Work("read_first", "the same, for the first time in a snapshot: it is verified", {}),
    Work("loop", "one field of every record, in Python", {}),
    Work("column", "one field of every record, to Arrow", {GENERATED: 0.05}),
    Work("column_small", f"the same, of {SMALLER} times fewer records", {GENERATED: 0.05, IN_PYTHON: 0.05}),
)


@dataclass(frozen=True)
class Place:
    """The folder of a run, and what is in it."""

    folder: Path
    records: int
    reads: int
    program: Path
    environment: dict[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "orders.ndjson"

    def database(self, name: str) -> Path:
        return self.folder / name

    def fresh(self, name: str) -> Path:
        shutil.rmtree(self.database(name), ignore_errors=True)
        self.database(name).mkdir()
        return self.database(name)


def import_ours(place: Place) -> float:
    """The command as a user calls it: with Python's start, the table, and what a restart would need."""
    return flatdb_import(place.fresh("ours"), place.file) / place.records


def flatdb_import(database: Path, file: Path) -> float:
    """Seconds."""
    command = [sys.executable, "-m", "flatc_wheel.flatdb", "import", str(database), "orders", str(file),
               "--schema", str(SCHEMA), "--key", "id:uuid"]  # fmt: skip
    start = time.perf_counter()
    output(*command)
    return time.perf_counter() - start


def import_limit(place: Place) -> float:
    return float(output(str(place.program), str(place.fresh("limit")), str(place.file), str(SCHEMA)))


def worker(script: str, work: str, database: str) -> Callable[[Place], float]:
    """A Python process that does a work."""

    def run(place: Place) -> float:
        peer = script == "zlmdb_worker.py"
        command = [bare_cpython() if peer else sys.executable, str(HERE / script), work, str(place.database(database)),
                   str(place.file), str(place.reads)]  # fmt: skip
        if peer and work == "import":
            place.fresh(database)
        return float(output(*command, environment=place.environment if peer else None).split()[-1])

    return run


RUNS: dict[str, dict[str, Callable[[Place], float]]] = {
    "import": {OURS: import_ours, PEER: worker("zlmdb_worker.py", "import", "peer"), LIMIT: import_limit},
    "read": {OURS: worker("our_worker.py", "read", "ours"), PEER: worker("zlmdb_worker.py", "read", "peer")},
    "read_first": {
        OURS: worker("our_worker.py", "read_first", "ours"),
        PEER: worker("zlmdb_worker.py", "read", "peer"),
    },
    "loop": {OURS: worker("our_worker.py", "loop", "ours"), PEER: worker("zlmdb_worker.py", "loop", "peer")},
    "column": {
        OURS: worker("our_worker.py", "column", "ours"),
        GENERATED: worker("our_worker.py", "generated", "ours"),
        IN_PYTHON: worker("our_worker.py", "loop", "ours"),
        PEER: worker("zlmdb_worker.py", "loop", "peer"),
    },
    "column_small": {
        OURS: worker("our_worker.py", "column", "small"),
        GENERATED: worker("our_worker.py", "generated", "small"),
        IN_PYTHON: worker("our_worker.py", "loop", "small"),
    },
}


def compile_limit() -> Path:
    """The bare program, by the compiler and with the flags of the wheel, over the wheel's own liblmdb."""
    program = BUILD / "parse_and_put"
    sources = [str(HERE / "parse_and_put.cpp"), *(str(FLATBUFFERS / "src" / name) for name in SOURCES)]
    library = liblmdb_wheel.library_path("0.9")
    output(sys.executable, "-m", "ziglang", "c++", *COMPILE, f"-I{FLATBUFFERS / 'include'}",
           f"-I{liblmdb_wheel.include_dir('0.9')}", *sources, str(library), f"-Wl,-rpath,{library.parent}",
           "-o", str(program))  # fmt: skip
    return program


def measure(place: Place, work: Work, rounds: int) -> dict[str, Any]:
    """A row of the result."""
    samples: dict[str, list[float]] = {name: [] for name in RUNS[work.name]}
    for number in range(rounds):
        print(f"{work.title}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, run in RUNS[work.name].items():
            samples[name].append(run(place))
    middle = {name: median(times) for name, times in samples.items()}
    return {
        "work": work.name,
        "title": work.title,
        "targets": dict(work.targets),
        "seconds": {name: report.short(time) for name, time in middle.items()},
        "ratios": {
            name: report.ratio(samples[OURS], samples[name], paired=True) for name in samples if name != OURS
        },
    }  # fmt: skip


def markdown(found: Mapping[str, Any]) -> str:
    rows = [["for one record", "ours", "compared with", "its", "ours / its", "quartiles", "target"], ["---"] * 7]
    for line in found["works"]:
        for name, ratio in line["ratios"].items():
            low, high = ratio["quartiles"]
            target = line["targets"].get(name)
            mark = "" if target is None else f"≤ {target:g}" if ratio["median"] <= target else f"**missed: {target:g}**"
            ours, its = (f"{line['seconds'][who] * 1e6:.3g} µs" for who in (OURS, name))
            rows.append([line["title"], ours, name, its, f"{ratio['median']:.3g}", f"{low:.3g} to {high:.3g}", mark])
    text = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    machine = found["machine"]
    return (
        f"{text}\n{found['records']:,} records of {found['bytes'] / found['records']:.0f} bytes of JSON; "
        f"{found['rounds']} rounds. {machine['processor']}, {machine['processors']} processors, {machine['system']}; "
        f"CPython {found['python']}; zLMDB {found['zlmdb']}.\n"
    )


def write(found: Mapping[str, Any]) -> None:
    """Numbers, tables and the picture, for the site."""
    numbers, tables, picture = (ROOT / "docs" / f"tables_speed{extension}" for extension in (".json", ".txt", ".svg"))
    numbers.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    tables.write_text(markdown(found))
    packages = install(BUILD / "picture", pinned("matplotlib"))
    output(bare_cpython(), str(HERE / "picture.py"), str(numbers), str(picture),
           environment={"PYTHONPATH": str(packages)})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=50_000, help="keys that are read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--works", nargs="+", choices=[work.name for work in WORKS], help="these only; nothing is written"
    )
    options = parser.parse_args()
    shared_memory = Path("/dev/shm")  # noqa: S108 (a fresh folder in it)
    packages = install(BUILD / "zlmdb", pinned("zlmdb"))
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None) as folder:
        [generated] = flatc_wheel.compile(SCHEMA, "python", folder, options=["--gen-onefile"])
        generated.rename(Path(folder, "shop_generated.py"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), folder])}
        place = Place(Path(folder), options.records, options.reads, compile_limit(), environment)
        print("writing the records", file=sys.stderr, flush=True)
        orders.write(options.records, place.file)
        orders.write(options.records // SMALLER, place.folder / "small.ndjson")
        flatdb_import(place.fresh("small"), place.folder / "small.ndjson")
        chosen = [work for work in WORKS if options.works is None or work.name in options.works]
        if options.works and "import" not in options.works:
            import_ours(place)
            RUNS["import"][PEER](place)
        found = {
            "machine": report.machine(),
            "python": sys.version.split()[0],
            "zlmdb": output(bare_cpython(), "-c", "from importlib.metadata import version as v; print(v('zlmdb'))",
                            environment=environment),
            "records": options.records,
            "bytes": place.file.stat().st_size,
            "rounds": options.rounds,
            "works": [measure(place, work, options.rounds) for work in chosen],
        }  # fmt: skip
    print(markdown(found))
    if options.works is None:
        write(found)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stdout or ''}{error.stderr or ''}")
