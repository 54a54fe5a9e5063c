"""python -m benchmarks.instructions: how many instructions an operation takes; written into ``docs/instructions.txt``.

valgrind counts what the contestants' processes run, LMDB and the interpreter included. Unlike times the counts hardly
depend on the machine or on what else it does; but an instruction that waits for memory counts as one that does not.
"""

from __future__ import annotations

import argparse
import re
import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks import measure, report
from benchmarks.__main__ import show, tell
from benchmarks.contestants import BUILD, LIMIT, OURS, OURS_CFFI, PY_LMDB, ROOT, Entrant, enter, output
from benchmarks.works import WORKS, Work

PAGE = ROOT / "docs" / "instructions.txt"
PROFILES = BUILD / "instructions"  # for callgrind_annotate
CONTESTANTS = (OURS, PY_LMDB, LIMIT, OURS_CFFI)
COUNTED = [work for work in WORKS if work.rounds is None and not work.parallel]
FIRST = 2  # passes that do not count: interpreters adapt their code to what it does
FEWER, MORE = 1, 3  # passes of two counts, of which the difference is taken


class Counter:
    """A contestant's process below valgrind."""

    def __init__(self, entrant: Entrant, folder: Path) -> None:
        self.profile = PROFILES / entrant.contestant.name.replace(" ", "-")
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={self.profile}", *entrant.command]
        environment = {**entrant.environment, "PYTHONHASHSEED": "0"} if entrant.environment else {}
        self.process = measure.Process(replace(entrant, command=command, environment=environment), folder)
        self.dumps = 0

    def count(self, work: Work) -> float:
        """Instructions of one operation."""
        self.process.do(work.name, FIRST)
        self.dump(work)
        fewer, more = (self.process.do(work.name, passes) and self.dump(work) for passes in (FEWER, MORE))
        return (more - fewer) / ((MORE - FEWER) * work.operations)

    def dump(self, work: Work) -> int:
        """Instructions since the last dump, of which a profile is left."""
        output("callgrind_control", f"--dump={work.name}", str(self.process.pid))
        self.dumps += 1
        text = self.profile.with_name(f"{self.profile.name}.{self.dumps}").read_text()
        [total] = re.findall(r"^totals: (\d+)$", text, re.MULTILINE)
        return int(total)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--works", nargs="+", choices=[work.name for work in COUNTED], help="nothing is written then")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not on PATH: install it, such as by `apt-get install valgrind`")
    shutil.rmtree(PROFILES, ignore_errors=True)
    PROFILES.mkdir(parents=True)
    chosen = [work for work in COUNTED if options.works is None or work.name in options.works]
    table = [["work", "for each", *(contestant.name for contestant in CONTESTANTS)]]
    table += [[work.title, work.unit] for work in chosen]
    with measure.databases(None) as folder:
        for contestant in CONTESTANTS:
            tell(f"{contestant.name}: installing")
            counter = Counter(enter(contestant, None, None), folder)
            for work, row in zip(chosen, table[1:], strict=True):
                tell(f"{contestant.name}: {work.title}")
                row.append(f"{counter.count(work):,.0f}")
            counter.process.end()
    show("instructions of one operation", table)
    if options.works is None:
        PAGE.write_text("\n".join(report.markdown_table(table)) + "\n")


if __name__ == "__main__":
    main()
