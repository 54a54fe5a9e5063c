"""Run the contestants side by side: round by round in turn, so that noise hits all alike."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from benchmarks.contestants import HERE, Entrant
from benchmarks.works import FEW, IMPORT, KEY_SIZE, LOAD, MANY, READERS, RECORDS, Work

# Rounds before the first that counts; not before works of seconds. PyPy compiles a function when it was called some
# 1,600 times, and a round calls it ten times.
WARMING = {"CPython": 40, "PyPy": 200, "C": 40}

Samples = dict[str, list[float]]  # by contestant: nanoseconds an operation, one number a round


class Process:
    """A contestant's process; it lives for all works."""

    def __init__(self, entrant: Entrant, folder: Path) -> None:
        self.name = entrant.contestant.name
        self.warming = WARMING[entrant.contestant.interpreter]
        arguments = [str(folder), self.name.replace(" ", "-"), str(MANY), str(FEW), str(READERS)]
        if entrant.contestant.interpreter != "C":
            arguments = [str(HERE / "worker.py"), *arguments, entrant.contestant.statement]
        self.popen = subprocess.Popen(
            [*entrant.command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=entrant.environment or None,
        )  # fmt: skip
        self.requests = cast("IO[str]", self.popen.stdin)
        self.answers = cast("IO[str]", self.popen.stdout)
        self.pid = int(self.answer().split()[1])

    def answer(self) -> str:
        line = self.answers.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended; what it said is above")
        return line

    def do(self, work: str, passes: int = 1) -> int:
        """One round; nanoseconds, or bytes for the work ``memory``."""
        self.requests.write(f"{work} {passes}\n")
        self.requests.flush()
        return int(self.answer())

    def end(self) -> None:
        self.requests.close()
        self.popen.wait()


@contextmanager
def databases(parent: Path | None) -> Iterator[Path]:
    """A folder for all databases, in RAM where that can be, with the keys that all use in their random order."""
    shared_memory = Path("/dev/shm")  # noqa: S108 (a fresh folder in it)
    chosen = parent or (shared_memory if shared_memory.is_dir() else None)
    folder = Path(tempfile.mkdtemp(prefix="lmdb-benchmarks-", dir=chosen))
    try:
        for name, count in (("small.keys", RECORDS), ("large.keys", LOAD)):
            keys = [b"%0*d" % (KEY_SIZE, number) for number in range(count)]
            random.Random(count).shuffle(keys)  # noqa: S311 (the same order in every run is the point)
            (folder / name).write_bytes(b"".join(keys))
        yield folder
    finally:
        shutil.rmtree(folder)


def works(
    entrants: Sequence[Entrant], chosen: Sequence[Work], folder: Path, rounds: int, tell: Callable[[str], None]
) -> dict[str, Samples]:
    """Samples by work."""
    found = {}
    with ExitStack() as stack:
        processes = [Process(entrant, folder) for entrant in entrants]
        for process in processes:
            stack.callback(process.end)
        for work in chosen:
            tell(work.title)
            cpus = _every_cpu() if work.parallel else _one_cpu()
            for process in processes:
                pin(process.pid, cpus)
            samples: Samples = {process.name: [] for process in processes}
            for number in range(work.rounds or rounds):
                for process in processes:
                    if (
                        work.rounds is None
                    ):  # what the others have put out of the cache comes back before the clock runs
                        process.do(work.name, process.warming * work.passes if number == 0 else 1)
                    taken = process.do(work.name, work.passes)
                    samples[process.name].append(taken / (work.passes * work.operations))
            found[work.name] = samples
    return found


def imports(entrants: Sequence[Entrant], rounds: int, tell: Callable[[str], None]) -> tuple[Samples, Samples]:
    """Whole processes that import and end, by contestant; and processes that do nothing, by the same names.

    The order is shuffled in each round: what a large process leaves of the cache would else hit the same one each time.
    """
    tell(IMPORT.title)
    whole: Samples = {entrant.contestant.name: [] for entrant in entrants}
    bare: Samples = {entrant.contestant.name: [] for entrant in entrants}
    runs = [(samples, entrant) for samples in (whole, bare) for entrant in entrants]
    order = random.Random(0)  # noqa: S311 (not a secret)
    every_cpu = _every_cpu()
    pin(0, _one_cpu())
    for _ in range(rounds):
        for samples, entrant in order.sample(runs, len(runs)):
            command = [*entrant.command, "-c", entrant.contestant.statement if samples is whole else "pass"]
            start = time.perf_counter_ns()
            subprocess.run(command, env=entrant.environment, check=True)
            samples[entrant.contestant.name].append(time.perf_counter_ns() - start)
    pin(0, every_cpu)
    return whole, bare


def memory(entrants: Sequence[Entrant], limit: Entrant, folder: Path, tell: Callable[[str], None]) -> dict[str, int]:
    """By contestant, each in a new process: the bytes that a scan of a large database adds to its own memory."""
    tell("memory of a scan")
    found = {}
    filler = Process(limit, folder)
    filler.do("fill")
    filler.end()
    for entrant in entrants:
        shutil.rmtree(folder / entrant.contestant.name.replace(" ", "-"), ignore_errors=True)
        process = Process(entrant, folder)
        found[entrant.contestant.name] = process.do("memory")
        process.end()
    return found


def pin(pid: int, cpus: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cpus)


def _every_cpu() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _one_cpu() -> set[int]:
    return {max(_every_cpu())} if hasattr(os, "sched_getaffinity") else set()
