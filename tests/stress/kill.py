"""The kill campaign: a writer is killed at random moments, and everything that it had reported as committed is there.

    python -m tests.stress.kill [--engine 0.9] [--rounds 200] [--seed 1]

Each round goes on with the environment of the one before. Where this process has it open meanwhile, the writer dies
with LMDB's lock and its readers' slots in the lock file; else the next opening makes the lock file anew. Exit status 1 at
the first thing that is wrong.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import lmdb_bindings as lmdb
from lmdb_bindings import verify
from tests.stress import slots, writer
from tests.stress.content import DamageError
from tests.stress.shared import ENGINES


def main() -> int:
    """Run the campaign on each engine; the exit status."""
    parser = argparse.ArgumentParser(prog="kill", description="Kill a writer, again and again.")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="the engine; both if not given")
    parser.add_argument("--rounds", type=int, default=200, help="for each engine (default: 200)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random; the time if not given")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    for engine in options.engine or ENGINES:
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            campaign = Campaign(Path(folder, "env"), engine, seed)
            began = time.monotonic()
            try:
                for number in range(options.rounds):
                    campaign.round(number)
            except (DamageError, lmdb.Error) as problem:
                print(f"engine {engine}, seed {seed}, round {number}: {problem!r}", file=sys.stderr)
                return 1
            print(f"engine {engine}, seed {seed}, {options.rounds} rounds, {time.monotonic() - began:.0f} s: "
                  + ", ".join(f"{n} {what}" for what, n in sorted(campaign.counts.items())) + "; no problem",
                  flush=True)  # fmt: skip
    return 0


class Campaign:
    """The rounds on one environment.

    Attributes:
        counts: what happened, and how often.
    """

    def __init__(self, path: Path, engine: str, seed: int) -> None:
        self._path = path
        self._engine = engine
        self._seed = seed
        self._dice = Random(seed)
        self._expected = slots.Expected()
        self.counts: Counter[str] = Counter()

    def round(self, number: int) -> None:
        """Let a writer write, kill it, and inspect what it leaves.

        Raises:
            DamageError: something is wrong.
        """
        env = self._open() if self._dice.random() < 0.5 else None
        reported, ready = self._kill_one(f"{self._seed} {number}")
        if env is None:
            self._verify()  # before anything is opened, and put in order
            env = self._open()
        else:
            self.counts["rounds with it open"] += 1
            self._clear_slots(env, writer.READERS if ready else 0)
        with env:
            self._compare(env, reported)
            # A writer that dies between its meta page and the lock file has committed, and readers learn of it by the
            # next writer, who finds its lock: so once more.
            self._write(env)
            self._compare(env, reported)
        self.counts["unreported commits"] += self._expected.number - reported
        self._verify()

    def _open(self) -> lmdb.Environment:
        return lmdb.open(self._path, lib_version=ENGINES[self._engine], map_size=writer.MAP_SIZE)

    def _kill_one(self, seed: str) -> tuple[int, bool]:
        """Returns the number of the last transaction that was reported, and whether writing had begun."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.writer", str(self._path), self._engine, seed], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        head = b""
        if self._dice.random() < 0.2:
            time.sleep(self._dice.uniform(0, 0.4))  # perhaps in the middle of its start
            self.counts["kills at a random time of the start"] += 1
        else:
            head = process.stdout.readline()
            time.sleep(self._dice.uniform(0, 0.03))
        process.kill()
        lines = (head + process.stdout.read()).splitlines()
        if process.wait() != -9:
            raise DamageError(f"the writer ended by itself, with status {process.returncode}")
        if not lines:
            return self._expected.number, False
        if lines[0] != b"ready %d" % self._expected.number:
            raise DamageError(f"the writer began with {lines[0]!r}, not with {self._expected.number}")
        self.counts["reported commits"] += len(lines) - 1
        return self._expected.number + len(lines) - 1, True

    def _clear_slots(self, env: lmdb.Environment, least: int) -> None:
        cleared = env.reader_check()
        if cleared < least:
            raise DamageError(f"{cleared} reader slots were cleared; the writer had {least}")
        self.counts["reader slots cleared"] += cleared
        if "no active readers" not in env.readers():
            raise DamageError(f"readers of nobody: {env.readers()}")

    def _compare(self, env: lmdb.Environment, reported: int) -> None:
        with env.begin() as txn:
            found = list(txn.cursor())
        last = int(dict(found).get(slots.COUNT, b"0"))
        if last not in (reported, reported + 1):
            raise DamageError(f"{reported} was reported, and {last} is there")
        if found != self._expected.advance(last):
            wanted = self._expected.advance(last)
            keys = sorted(
                key for key in dict(found).keys() | dict(wanted) if dict(found).get(key) != dict(wanted).get(key)
            )
            raise DamageError(f"after transaction {last} these keys have other values than they should: {keys}")

    def _write(self, env: lmdb.Environment) -> None:
        """Writing works, and leaves nothing behind."""
        with env.begin(write=True) as txn:
            txn.put(b"later", b"x" * self._dice.randrange(10000))
        with env.begin(write=True) as txn:
            if not txn.delete(b"later"):
                raise DamageError("a record that was just committed is not there")

    def _verify(self) -> None:
        if self._path.joinpath("data.mdb").exists() and self._path.joinpath("data.mdb").stat().st_size:
            if problems := verify.verify(self._path):
                raise DamageError(f"verify: {problems}")
            self.counts["verifications"] += 1


if __name__ == "__main__":
    sys.exit(main())
