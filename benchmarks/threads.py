"""Reading by two threads, against one: ``python -m benchmarks.threads``, by a CPython without the global lock.

Each thread has a read transaction and keys of its own, since threads that use one object wait for each other. Told are
the records read in a second, the medians of rounds, which say something where nothing else runs on the machine; and
the processor's time that a thread takes for a record, the smallest of all rounds, which others on the machine hardly
change: with how often the threads waited, it says what two processors would do.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lmdb_bindings as lmdb

RECORDS = 10_000
CALLS = 200_000
ROUNDS = 15

Work = Callable[[lmdb.Environment, int], int]


def get(env: lmdb.Environment, seed: int) -> int:
    """Look up keys, in an order of the thread's own; how many."""
    keys = [b"%08d" % (number * 7919 * (seed + 1) % RECORDS) for number in range(1000)]
    with env.begin() as txn:
        look_up = txn.get
        for _ in range(CALLS // len(keys)):
            for key in keys:
                look_up(key)
    return CALLS


def move(env: lmdb.Environment, _: int) -> int:
    """Move a cursor, and read where it is; how many records."""
    with env.begin() as txn, txn.cursor() as cursor:
        forward, item = cursor.next, cursor.item
        for _ in range(CALLS // 2):
            if not forward():
                cursor.first()
            item()
    return CALLS // 2


def iterate(env: lmdb.Environment, _: int) -> int:
    """Iterate over all records, again and again; how many."""
    count = 0
    with env.begin() as txn, txn.cursor() as cursor:
        while count < CALLS:
            for _record in cursor:
                count += 1
    return count


WORKS: dict[str, Work] = {"get": get, "cursor": move, "iterate": iterate}


@dataclass(frozen=True)
class Measured:
    """Threads at work.

    Attributes:
        rate: records in a second, of all of them together.
        seconds: of a processor, for a record.
        waits: how often a thread gave its processor back to wait.
    """

    rate: float
    seconds: float
    waits: int


def measure(work: Work, env: lmdb.Environment, threads: int) -> Measured:
    """Let threads work, which begin at once."""
    found: list[Any] = [None] * threads
    start = threading.Barrier(threads + 1)

    def run(number: int) -> None:
        start.wait()
        seconds, waits = time.thread_time(), resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        count = work(env, number)
        waited = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - waits
        found[number] = count, time.thread_time() - seconds, waited

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    counts, seconds, waits = (sum(numbers) for numbers in zip(*found, strict=True))
    return Measured(counts / elapsed, seconds / counts, waits)


def row(name: str, work: Work, env: lmdb.Environment, rounds: int) -> str:
    """A line of the table."""
    pairs = [(measure(work, env, 1), measure(work, env, 2)) for _ in range(rounds)]
    one, two = zip(*pairs, strict=True)
    rates = [statistics.median(measured.rate for measured in kind) for kind in (one, two)]
    ratio = statistics.median(b.rate / a.rate for a, b in pairs)
    alone, beside = (min(measured.seconds for measured in kind) for kind in (one, two))
    waits = statistics.median(measured.waits for measured in two)
    return (f"{name:10}{rates[0]:14,.0f}{rates[1]:14,.0f}{ratio:8.2f}{1e9 * alone:14.0f}{1e9 * beside:14.0f}"
            f"{2 * alone / beside:8.2f}{waits:8.0f}")  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("works", nargs="*", choices=[*WORKS, []], help="only these (default: all)")
    arguments = parser.parse_args(argv)
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    number = "{}.{}.{}".format(*sys.version_info[:3]) + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
    print(f"CPython {number}, {'with' if locked else 'without'} the global lock; {how()}")
    print(f"{arguments.rounds} rounds; threads: one, two, and the ratio\n")
    print(f"{'':10}{'records in a second':>36}{'ns of a processor for a record':>36}{'waits':>8}")
    with tempfile.TemporaryDirectory() as folder, lmdb.open(folder, map_size=1 << 26) as env:
        with env.begin(write=True) as txn:
            txn.putmany([(b"%08d" % number, b"value %08d" % number) for number in range(RECORDS)])
        for name in arguments.works or WORKS:
            print(row(name, WORKS[name], env, arguments.rounds))


def how() -> str:
    """How single records cross."""
    from lmdb_bindings import _fast

    return f"by CFFI ({_fast.why_not})" if _fast.why_not else "by built-in methods"


if __name__ == "__main__":
    main()
