"""python -m benchmarks.flatc: flatc beside other builds of the same version; written into ``docs/flatc_speed.txt``.

Each time is that of a process from start to end, in rounds with those that it is compared with, so that noise hits all
alike; the medians are compared. Before anything is timed, all have written the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from zipfile import ZipFile

from benchmarks import measure, report
from benchmarks.contestants import BUILD, ROOT, UV, bare_cpython, install, output, pinned

PAGE = ROOT / "docs" / "flatc_speed.txt"
DISTRIBUTION = "flatc_wheel-25.12.19"
MEGABYTE = 1_000_000
LANGUAGES = ("--cpp", "--csharp", "--go", "--java", "--python", "--rust", "--ts")
LARGE = 100  # megabytes, from which fewer rounds will do, and the memory that a program needs is its own to speak of


Sample = tuple[float, int]  # seconds, and the most memory that the process had, in bytes


@dataclass(frozen=True)
class Program:
    """One column: a command that arguments follow, and the environment to run it in."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, eq=False)
class Work:
    """One row: a title, the arguments but for ``-o``, and by how much more or fewer rounds than the others it has."""

    title: str
    arguments: list[str]
    rounds: float = 1


@dataclass(frozen=True)
class Data:
    """JSON of one kind: its schema, and a function that makes one of many equal parts."""

    name: str
    schema: str
    part: Callable[[random.Random], object]
    megabytes: int


def record(chance: random.Random) -> object:
    """What a shop keeps: short texts, whole and decimal numbers, a struct."""
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 10))) for _ in range(8)]
    return {
        "id": chance.getrandbits(60),
        "name": " ".join(words[:4]),
        "price": round(chance.uniform(0, 100_000), 2),
        "colour": chance.choice(["Red", "Green", "Blue"]),
        "tags": words[4 : 4 + chance.randrange(4)],
        "at": {"x": round(chance.uniform(-180, 180), 5), "y": round(chance.uniform(-90, 90), 5)},
        "counts": [chance.randint(-9999, 9999) for _ in range(chance.randrange(12))],
    }


def series(chance: random.Random) -> object:
    """What an instrument writes: doubles with all their digits, floats with six."""
    return {
        "name": f"series {chance.randrange(1000)}",
        "exact": [chance.gauss(0, 1) for _ in range(500)],
        "rounded": [round(chance.uniform(-1, 1), 6) for _ in range(1000)],
    }


def tree(chance: random.Random, depth: int = 4) -> object:
    """Small tables within tables."""
    node = {"name": f"node {chance.randrange(10**6)}", "weight": chance.randrange(1000), "leaf": depth == 0}
    return node if depth == 0 else {**node, "children": [tree(chance, depth - 1) for _ in range(6)]}


SHOP = (
    "enum Colour : byte { Red, Green, Blue } struct Point { x: float; y: float; }"
    "table Part { id: ulong; name: string (required); price: double; colour: Colour; tags: [string]; at: Point;"
    " counts: [int]; }"
)
DATA = (
    Data("records", SHOP, record, 19),
    Data("measured numbers", "table Part { name: string; exact: [double]; rounded: [float]; }", series, 19),
    Data("trees", "table Part { name: string; weight: int; leaf: bool; children: [Part]; }", tree, 19),
    Data("records", SHOP, record, 200),
)


def write_data(data: Data, folder: Path) -> tuple[Path, Path]:
    """The schema and the JSON, of the size that is wanted or just above."""
    name = f"{data.name.replace(' ', '_')}_{data.megabytes}"
    schema, text = folder / f"{name}.fbs", folder / f"{name}.json"
    schema.write_text(f"{data.schema} table Root {{ parts: [Part]; }} root_type Root;\n")
    chance = random.Random(1)  # noqa: S311 (the same data in every run is the point)
    with text.open("w") as stream:
        stream.write('{"parts": [\n')
        while stream.tell() < data.megabytes * MEGABYTE:
            stream.write(json.dumps(data.part(chance), indent=1) + ",\n")
        stream.write(json.dumps(data.part(chance), indent=1) + "\n]}\n")
    return schema, text


def write_schema(types: int, folder: Path) -> Path:
    """A schema of so many tables, structs and enums."""
    path = folder / f"types{types}.fbs"
    parts = ["namespace measured;"]
    for number in range(types):
        other = f"Table{number - 1}" if number else "string"
        parts.append(
            f"enum Enum{number} : byte {{ A, B, C, D }} struct Struct{number} {{ x: float; y: float; z: double; }}"
            f"table Table{number} {{ name: string; kind: Enum{number} = B; at: Struct{number}; parts: [{other}];"
            " counts: [int]; flag: bool = true; size: ulong; ratio: double = 0.25; labels: [string]; }"
        )
    path.write_text("\n".join([*parts, f"root_type Table{types - 1};\n"]))
    return path


def works(folder: Path) -> Iterable[Work]:
    """What is done. What binary data is read is what the work before has written: see ``compare``."""
    for data in DATA:
        schema, text = write_data(data, folder)
        size, rounds = f"{data.megabytes} MB of {data.name}", 0.3 if data.megabytes > LARGE else 1
        yield Work(f"JSON to binary, {size}", ["--binary", str(schema), str(text)], rounds)
        binary = str(text.with_suffix(".bin"))
        yield Work(f"binary to JSON, {size}", ["--json", "--raw-binary", str(schema), "--", binary], rounds)
    yield Work("code in 7 languages, 300 tables", [*LANGUAGES, str(write_schema(300, folder))])
    yield Work("C++ with objects, 3,000 tables", ["--cpp", "--gen-object-api", str(write_schema(3000, folder))])
    yield Work("`flatc --version`", ["--version"], 20)


def run(program: Program, arguments: list[str], folder: Path) -> Sample:
    """One process, which writes into a folder.

    Raises:
        RuntimeError: it fails.
    """
    target = [] if arguments == ["--version"] else ["-o", str(folder)]
    command = [*program.command, *target, *arguments]
    no_output = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, program.environment, file_actions=no_output)
    _, status, usage = os.wait4(pid, 0)
    taken = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{program.name} failed: {' '.join(command)}")
    return taken, usage.ru_maxrss * 1024


def compare(programs: list[Program], arguments: list[str], folder: Path) -> None:
    """Let each program do a work in a folder of its own, and compare what they have written.

    Binary data is kept beside the JSON that it was made of, for the next work.

    Raises:
        RuntimeError: they differ.
    """
    first, *others = [folder / program.name for program in programs]
    for program in programs:
        run(program, arguments, folder / program.name)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    for other in others:
        count = sum(path.is_file() for path in other.rglob("*"))
        _, different, missing = filecmp.cmpfiles(first, other, names, shallow=False)
        if different or missing or count != len(names):
            raise RuntimeError(f"{arguments}: {other} is not as {first}: {different}, {missing}, {count} files")
    for binary in first.glob("*.bin"):
        shutil.copyfile(binary, folder.parent / binary.name)


def take_part(debian: Path | None) -> list[Program]:
    """Ours as it is installed, and as a bare file; zlmdb's through its console script; Debian's.

    Raises:
        RuntimeError: one is of another version.
    """
    [wheel] = (ROOT / "dist").glob(f"{DISTRIBUTION}-*linux*_{os.uname().machine}*.whl")
    quietly = [UV, "pip", "install", "--quiet", "--python", bare_cpython(), "--no-deps", "--no-index", "--no-cache"]
    ours = install(BUILD / "flatc", [*quietly, str(wheel)]) / "bin" / "flatc"
    bare = BUILD / "flatc.bare"
    with ZipFile(wheel) as archive:
        bare.write_bytes(archive.read(f"{DISTRIBUTION}.data/scripts/flatc"))
    bare.chmod(0o755)
    zlmdb = install(BUILD / "flatc-zlmdb", pinned("zlmdb"))
    programs = [
        Program("the installed wheel", (str(ours),), {}),
        Program("the bare file", (str(bare),), {}),
        Program("zlmdb's console script", (str(zlmdb / "bin" / "flatc"),), {"PYTHONPATH": str(zlmdb)}),
    ]
    if debian is not None:
        [libraries] = {path.parent for path in debian.rglob("libc.so.6")}
        [loader] = libraries.glob("ld-linux-*.so.*")
        command = (str(loader), "--library-path", str(libraries), str(debian / "usr" / "bin" / "flatc"))
        programs.append(Program("Debian's", command, {}))
    for program in programs:
        said = output(*program.command, "--version", environment=program.environment)
        if said != "flatc version 25.12.19":
            raise RuntimeError(f"{program.name} is another: {said}")
    return programs


def times(found: dict[Work, dict[str, list[Sample]]], names: list[str]) -> str:
    """The first one's times, and beside each other one as a part of its."""
    first, *others = names
    rows = [["work", first, *(f"against {other}" for other in others)], ["---"] * (1 + len(names))]
    for work, samples in found.items():
        middle = {name: median(taken for taken, _ in samples[name]) for name in names}
        ratios = [f"{middle[first] / middle[other]:.3g}" for other in others]
        rows.append([work.title, f"{middle[first] * 1000:,.{1 if middle[first] < 0.1 else 0}f} ms", *ratios])
    return markdown(rows)


def memory(found: dict[Work, dict[str, list[Sample]]], names: list[str]) -> str:
    """The most memory that each has for large data."""
    rows = [["most memory", *names], ["---"] * (1 + len(names))]
    for work, samples in found.items():
        if work.rounds < 1:
            most = [max(size for _, size in samples[name]) for name in names]
            rows.append([work.title, *(f"{size / MEGABYTE:,.0f} MB" for size in most)])
    return markdown(rows)


def markdown(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flatc", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--debian", type=Path, help="a folder with Debian's packages unpacked: see docs/benchmarks.md")
    options = parser.parse_args()
    programs = take_part(options.debian and options.debian.resolve())
    found, chance = {}, random.Random(0)  # noqa: S311 (not a secret)
    measure.pin(0, measure._one_cpu())  # and with it the processes that are started
    shared_memory = Path("/dev/shm")  # noqa: S108 (a fresh folder in it)
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None) as place:
        for work in works(Path(place)):
            print(work.title, file=sys.stderr, flush=True)
            folder = Path(place, "written")
            compare(programs, work.arguments, folder)
            samples: dict[str, list[Sample]] = {program.name: [] for program in programs}
            for _ in range(max(3, int(options.rounds * work.rounds))):
                # In another order each time: a large process leaves little of the cache to the one after it.
                for program in chance.sample(programs, len(programs)):
                    samples[program.name].append(run(program, work.arguments, folder / program.name))
            found[work] = samples
            shutil.rmtree(folder, ignore_errors=True)
    machine, names = report.machine(), [program.name for program in programs]
    text = f"""\
{times(found, names)}
{memory(found, names)}
{machine["processor"]}, {machine["system"]}; medians of {options.rounds} processes each, in rounds, on one
processor, with files in memory. All wrote the same files, byte for byte.
"""
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
