"""python -m benchmarks: install the contestants, run them, print the ratios, and write them into ``docs/``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import measure, report
from benchmarks.contestants import (
    BUILD,
    CONTESTANTS,
    HERE,
    LIMIT,
    ROOT,
    Entrant,
    UnavailableError,
    bare_cpython,
    enter,
    install,
    output,
    pinned,
)  # fmt: skip
from benchmarks.works import IMPORT, IMPORT_NET, START, WORKS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="for the databases; else /dev/shm, else the usual place")
    parser.add_argument("--pypy", default=shutil.which("pypy3"), help="an executable; else pypy3 on PATH")
    parser.add_argument("--ours", type=Path, help="a folder with the binding and all it needs, instead of dist/")
    parser.add_argument(
        "--works", nargs="+", choices=[work.name for work in WORKS], help="these only; nothing is written"
    )
    return parser.parse_args()


def show(title: str, table: list[list[str]]) -> None:
    head, *rows = table
    shown = Table(*head, title=title, title_justify="left")
    for column in shown.columns[1:]:
        column.justify = "right"
    for cells in rows:
        shown.add_row(*(cell.replace("**", "").replace("[", r"\[") for cell in cells))
    Console(width=None if sys.stdout.isatty() else 150).print(shown)


def main() -> None:
    options = arguments()
    BUILD.mkdir(parents=True, exist_ok=True)
    entrants: list[Entrant] = []
    skipped = {}
    for contestant in CONTESTANTS:
        tell(f"{contestant.name}: installing")
        try:
            entrants.append(enter(contestant, options.pypy, options.ours and options.ours.resolve()))
        except UnavailableError as error:
            skipped[contestant.name] = str(error)
            tell(f"{contestant.name} does not take part: {error}")
    chosen = [work for work in WORKS if options.works is None or work.name in options.works]
    with measure.databases(options.folder) as folder:
        samples = measure.works(entrants, chosen, folder, options.rounds, tell)
        rows = [report.row(work, samples[work.name]) for work in chosen]
        found = {
            "machine": report.machine(),
            "rounds": options.rounds,
            "contestants": {entrant.contestant.name: entrant.version for entrant in entrants},
            "skipped": skipped,
            "works": rows,
        }
        if options.works is None:
            importing = [entrant for entrant in entrants if entrant.version and entrant.contestant.imports]
            whole, bare = measure.imports(importing, options.rounds, tell)
            net = {name: [time - median(bare[name]) for time in times] for name, times in whole.items()}
            rows += [report.row(IMPORT, whole), report.row(IMPORT_NET, net), {**report.row(START, bare), "ratios": {}}]
            [limit] = [entrant for entrant in entrants if entrant.contestant is LIMIT]
            found["memory"] = measure.memory([one for one in entrants if one is not limit], limit, folder, tell)
    show("our time, as a ratio: median, quartiles, target", report.ratios(found))
    show("time of one operation", report.times(found))
    for sentence in report.missed(found):
        print(sentence)
    if options.works is None:
        show("memory that a scan of 300 MB adds", report.memory(found))
        write(found)


def write(found: dict[str, object]) -> None:
    """JSON, the tables for the site, and the picture."""
    docs = ROOT / "docs"
    numbers = docs / "benchmarks.json"
    numbers.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    (docs / "benchmarks.txt").write_text(report.markdown(found))
    packages = install(BUILD / "picture", pinned("matplotlib"))
    output(bare_cpython(), str(HERE / "picture.py"), str(numbers), str(docs / "benchmarks.svg"),
           environment={"PYTHONPATH": str(packages)})  # fmt: skip


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
