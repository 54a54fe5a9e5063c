"""The stress run: processes and threads that write, read, scan, resize and close one environment, all at once.

    python -m tests.stress.stress [--engine 0.9] [--seconds 180] [--processes 8] [--threads 8] [--seed 1]

Proves that nothing committed is lost, nothing aborted is seen, no process dies and no thread hangs. Exit status 1 where
that is not so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import lmdb_bindings as lmdb
from lmdb_bindings import verify
from tests.stress import content, journal
from tests.stress.shared import ENGINES
from tests.stress.worker import PATIENCE


def main() -> int:
    """Run the campaign on each engine; the exit status."""
    parser = argparse.ArgumentParser(prog="stress", description="Stress the binding.")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="the engine; both if not given")
    parser.add_argument("--seconds", type=float, default=180, help="for each engine (default: 180)")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--threads", type=int, default=8, help="of each process")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random; the time if not given")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    failed = False
    for engine in options.engine or ENGINES:
        with tempfile.TemporaryDirectory(prefix="stress-") as folder:
            path = Path(folder, "env")
            make(path, engine)
            began = time.monotonic()
            counts, problems = run(path, engine, options.processes, options.threads, options.seconds, seed)
            took = time.monotonic() - began
            problems += inspect(path, counts)
        for problem in problems:
            print(problem, file=sys.stderr)
        failed = failed or bool(problems)
        print(f"engine {engine}, seed {seed}, {options.processes} x {options.threads}, {took:.0f} s: "
              + ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
              + (f"; {len(problems)} PROBLEMS" if problems else "; no problem"), flush=True)  # fmt: skip
    return int(failed)


def make(path: Path, engine: str) -> None:
    """Make the environment with its databases."""
    with lmdb.open(path, lib_version=ENGINES[engine], max_dbs=8, max_readers=2000) as env:
        for name, flags in content.NAMES.items():
            env.open_db(name, **flags)
    path.with_name("journal").touch()


def run(
    path: Path, engine: str, processes: int, threads: int, seconds: float, seed: int
) -> tuple[Counter[str], list[str]]:
    """Run the workers. Returns what they did, and what went wrong."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.stress.worker", str(path), engine,
             *map(str, (index, threads, seconds, seed))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for index in range(processes)
    ]  # fmt: skip
    counts: Counter[str] = Counter()
    problems = []
    until = time.monotonic() + seconds + 2 * PATIENCE
    for index, worker in enumerate(workers):
        try:
            output, errors = worker.communicate(timeout=max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            output, errors = worker.communicate()
            problems.append(f"process {index} did not end")
        if worker.returncode:
            problems.append(f"process {index} ended with status {worker.returncode}:\n{errors[-20000:]}")
        else:
            counts.update(json.loads(output))
    return counts, problems


def inspect(path: Path, counts: Counter[str]) -> list[str]:
    """Compare the environment with the journal. Returns what is wrong."""
    problems = [f"verify: {problem}" for problem in verify.verify(path)]
    committed = journal.read(path.with_name("journal"))
    if sum(map(len, committed.values())) != counts["commits"]:
        problems.append(f"the journal has {sum(map(len, committed.values()))} commits")
    wanted = {writer: numbers[-content.KEPT :] for writer, numbers in committed.items()}
    with lmdb.open(path, max_dbs=8, max_readers=2000) as env:
        databases = [env.open_db(name, create=False) for name in (b"count", b"number", b"part")]
        try:
            with env.begin() as txn:
                found = content.check(*(txn.cursor(database) for database in databases))
        except content.DamageError as problem:
            return [*problems, f"the end: {problem}"]
        if found != wanted:
            different = {writer for writer in found.keys() | wanted if found.get(writer) != wanted.get(writer)}
            problems += [f"writer {w}: committed {wanted.get(w)}, there {found.get(w)}" for w in sorted(different)]
    return problems


if __name__ == "__main__":
    sys.exit(main())
