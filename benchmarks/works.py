"""What is measured: a table. A work is done in rounds, a round in passes, a pass in operations."""

from __future__ import annotations

from dataclasses import dataclass

KEY_SIZE = 16  # bytes
RECORDS = 2_000  # in the small database, which stays in the processor's cache
MANY = 1_000  # keys or records of one call; transactions or ranges, one by one
FEW = 5  # records of a short range
LOAD = 1_000_000  # records
READERS = 2  # threads


@dataclass(frozen=True)
class Targets:
    """The most that our time may be of a peer's; None where nothing was promised.

    Attributes:
        py_lmdb: of py-lmdb's, on CPython with all that the binding has.
        zlmdb: of zlmdb's, likewise.
        by_cffi: of py-lmdb's, without built-in methods.
        on_pypy: of py-lmdb's on CPython, on PyPy.
    """

    py_lmdb: float | None = None
    zlmdb: float | None = None
    by_cffi: float | None = None
    on_pypy: float | None = None


@dataclass(frozen=True)
class Work:
    """One row of the result.

    Attributes:
        name: what the workers know it by.
        title: what a reader knows it by.
        unit: of what one operation is.
        operations: in one pass.
        passes: in one round, so that a round is long beside the clock and short beside the noise.
        targets: what was promised of it.
        rounds: fewer than the command line's, for works of seconds.
        parallel: runs on every processor; else all contestants share one.
        paired: the contestants' times of one round are compared with each other.
    """

    name: str
    title: str
    unit: str
    operations: int
    passes: int
    targets: Targets = Targets()
    rounds: int | None = None
    parallel: bool = False
    paired: bool = True


WORKS = (
    Work("open", "open and close", "environment", 1, 50),
    Work("get", "point get", "record", RECORDS, 20, Targets(0.95, 0.4, by_cffi=3.6, on_pypy=1.0)),
    Work("put", "point put (insert)", "record", RECORDS, 5, Targets(0.95, 0.75, by_cffi=3.2, on_pypy=1.0)),
    Work("replace", "replace", "record", RECORDS, 5, Targets(1.0)),
    Work("pop", "pop", "record", RECORDS, 5, Targets(1.0)),
    Work("delete", "delete", "record", RECORDS, 5, Targets(1.0)),
    Work("seek", "cursor: set_key", "record", RECORDS, 10),
    Work("step", "cursor: next", "record", RECORDS, 10, Targets(0.8)),
    Work("step_item", "cursor: next and item", "record", RECORDS, 10),
    Work("range", f"cursor, set_range, {FEW} records", "range", MANY, 5),
    Work("iterate", "iterate a cursor", "record", RECORDS, 10, Targets(0.8, 0.05, by_cffi=0.8, on_pypy=1.0)),
    Work("iterate_keys", "iterate a cursor, keys", "record", RECORDS, 10),
    Work("begin", "begin, get, abort", "transaction", MANY, 10, Targets(1.0)),
    Work("begin_with", "with begin: get", "transaction", MANY, 10),
    Work("write", "begin, put, commit", "transaction", MANY, 2),
    Work("scan", "scan to a list", "record", RECORDS, 10, Targets(0.8, 0.05, by_cffi=0.8, on_pypy=1.0)),
    Work("getmulti", "getmulti, pairs", "record", MANY, 20, Targets(0.8, 0.2, by_cffi=0.8, on_pypy=1.0)),
    Work("getmany", "getmany, values", "record", MANY, 20, Targets(0.8, 0.2, by_cffi=0.8, on_pypy=1.0)),
    Work("getmany_ordered", "getmany, keys in order", "record", MANY, 20, Targets(0.8, 0.2, by_cffi=0.8, on_pypy=1.0)),
    Work("putmulti", "putmulti", "record", MANY, 10, Targets(1.1, 0.3, by_cffi=1.1, on_pypy=1.0)),
    Work("putmany", "putmany", "record", MANY, 10, Targets(1.1, 0.3, by_cffi=1.1, on_pypy=1.0)),
    Work("putmany_ordered", "putmany, keys in order", "record", MANY, 10, Targets(1.1, 0.3, by_cffi=1.1, on_pypy=1.0)),
    Work("readers", f"point get, {READERS} threads", "record", READERS * RECORDS, 20, parallel=True),
    Work("load_sorted", "load, sorted", "record", LOAD, 1, rounds=5),
    Work("load_random", "load, random", "record", LOAD, 1, rounds=5),
)

# Processes of their own; the second is the first less the median of the third. PyPy takes longer to start, so nothing
# is promised of its imports.
IMPORT = Work("import", "import, whole process", "process", 1, 1, Targets(1.5, 0.3), paired=False)
IMPORT_NET = Work("import_net", "import, less the interpreter's start", "process", 1, 1, paired=False)
START = Work("start", "the interpreter alone", "process", 1, 1, paired=False)
