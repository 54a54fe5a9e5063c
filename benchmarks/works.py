"""What is measured: a table. A work is done in rounds, a round in passes, a pass in operations."""

from __future__ import annotations

from dataclasses import dataclass

KEY_SIZE = 16  # bytes
RECORDS = 2_000  # in the small database, which stays in the processor's cache
MANY = 1_000  # keys or records of one call
LOAD = 1_000_000  # records
READERS = 2  # threads


@dataclass(frozen=True)
class Work:
    """One row of the result.

    Attributes:
        name: what the workers know it by.
        title: what a reader knows it by.
        unit: of what one operation is.
        operations: in one pass.
        passes: in one round, so that a round is long beside the clock and short beside the noise.
        targets: the most that our time may be of py-lmdb's and of zlmdb's; None where nothing was promised.
        rounds: fewer than the command line's, for works of seconds.
        parallel: runs on every processor; else all contestants share one.
        paired: the contestants' times of one round are compared with each other.
    """

    name: str
    title: str
    unit: str
    operations: int
    passes: int
    targets: tuple[float | None, float | None] = (None, None)
    rounds: int | None = None
    parallel: bool = False
    paired: bool = True


WORKS = (
    Work("open", "open and close", "environment", 1, 50),
    Work("get", "point get", "record", RECORDS, 20, (3.6, 0.4)),
    Work("put", "point put (insert)", "record", RECORDS, 5, (3.2, 0.75)),
    Work("iterate", "iterate a cursor", "record", RECORDS, 10, (0.8, 0.05)),
    Work("scan", "scan to a list", "record", RECORDS, 10, (0.8, 0.05)),
    Work("getmulti", "getmulti, pairs", "record", MANY, 20, (0.8, 0.2)),
    Work("getmany", "getmany, values", "record", MANY, 20, (0.8, 0.2)),
    Work("getmany_ordered", "getmany, keys in order", "record", MANY, 20, (0.8, 0.2)),
    Work("putmulti", "putmulti", "record", MANY, 10, (1.1, 0.3)),
    Work("putmany", "putmany", "record", MANY, 10, (1.1, 0.3)),
    Work("putmany_ordered", "putmany, keys in order", "record", MANY, 10, (1.1, 0.3)),
    Work("readers", f"point get, {READERS} threads", "record", READERS * RECORDS, 20, parallel=True),
    Work("load_sorted", "load, sorted", "record", LOAD, 1, rounds=5),
    Work("load_random", "load, random", "record", LOAD, 1, rounds=5),
)

# Processes of their own; the second is the first less the median of the third.
IMPORT = Work("import", "import, whole process", "process", 1, 1, (1.5, 0.3), paired=False)
IMPORT_NET = Work("import_net", "import, less the interpreter's start", "process", 1, 1, paired=False)
START = Work("start", "the interpreter alone", "process", 1, 1, paired=False)
