"""An environment copied from one data format to the other: LMDB 0.9 writes format 1, LMDB 1.0 format 3.

Neither engine reads the other's files, and a copy of the pages is no copy then: every record is read by the one and
written by the other. The new environment is made beside its place, and takes it when it is complete and on the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from typing import Any

from lmdb_bindings import _definition
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import BadValsizeError, DbsFullError, Error, IncompatibleError, MapFullError

Progress = Callable[["bytes | None", int, int], object]
"""Called with the name of a database (None: the main one), the records done, and the records in all."""

ENGINES = {"0.9": 0, "1.0": 1}  # py-lmdb's lib_version=

_BATCH_RECORDS = 10_000
_BATCH_BYTES = 16 << 20
_SPARE = 1 << 20  # bytes: the meta pages, the free list, and pages that are replaced while they are filled


def migrate(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    engine: str,
    progress: Progress | None = None,
    check: bool = False,
    map_size: int | None = None,
    lock: bool = True,
) -> dict[bytes | None, int]:
    """Copy an environment, with all its databases and their flags, into a new one of the named engine.

    The source is read in one snapshot, and may be in use by other processes. Memory does not grow with its size.

    Args:
        source: the folder of the environment, or its data file.
        target: the same kind; must not exist. It appears when it is complete; where anything fails, nothing stays.
        engine: ``"0.9"`` or ``"1.0"``; that of the source does no harm, and makes a compact copy.
        progress: called as it goes on, see :data:`Progress`: for each database first with no records done, last with
            all of them.
        check: compare every record in the end, not only their numbers.
        map_size: that of the new environment, in bytes; None for that of the source, or what its records may need.
        lock: lock the source; without, nobody may write to it meanwhile. For read-only file systems.

    Returns:
        How many records each database has, by its name.

    Raises:
        ValueError: there is no such engine.
        FileNotFoundError: there is no such source.
        FileExistsError: the target exists.
        BadValsizeError: a key, or a value of a key with several, is too long for the engine (for 0.9: 511 bytes).
        IncompatibleError: a record of the main database has the name of a database, which only 1.0 can tell apart.
        MapFullError: ``map_size`` is too small.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r}: there are {' and '.join(map(repr, ENGINES))}")
    source, target = os.fspath(source), os.path.abspath(target)
    if os.path.lexists(target):
        raise FileExistsError(f"cannot migrate to {target}: it exists. Name a new one, or remove it.")
    subdir = os.path.isdir(source)
    if not os.path.isfile(os.path.join(source, "data.mdb") if subdir else source):
        raise FileNotFoundError(f"cannot migrate {source}: it is neither a folder with a data.mdb nor a data file.")
    report = progress or _silent
    with _opened(source, subdir, lock) as (old, txn, names), _beside(target) as folder:
        place = os.path.join(folder, "env")
        size = map_size or _estimate(old, txn)
        while True:
            try:
                counts = _copy(old, txn, names, place, ENGINES[engine], subdir, size, report, check)
                break
            except MapFullError:
                if map_size:
                    raise
                size *= 2  # pages of the other format hold less than was allowed for
                _remove(place)
        _publish(source, place, target, subdir)
    return counts


def _silent(database: bytes | None, done: int, total: int) -> None:
    """Report nothing."""


# -- the files -------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: str, subdir: bool, lock: bool) -> Iterator[tuple[Environment, Transaction, list[bytes | None]]]:
    """The source, a snapshot of it, and the names of its databases, the main one first."""
    slots = 16
    while True:
        with (
            Environment(source, map_size=0, subdir=subdir, readonly=True, lock=lock, max_dbs=slots) as env,
            env.begin() as txn,
        ):
            try:
                names = list(_definition.named(env, txn))
            except DbsFullError:
                slots *= 4  # how many there are is known when they are open
                continue
            yield env, txn, [None, *names]
            return


@contextmanager
def _beside(target: str) -> Iterator[str]:
    """A folder in the file system of the target, gone in the end."""
    folder = tempfile.mkdtemp(prefix=f".{os.path.basename(target)}-", dir=os.path.dirname(target))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove(place: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    for file in (place, place + "-lock"):
        with suppress(OSError):
            os.unlink(file)


def _publish(source: str, place: str, target: str, subdir: bool) -> None:
    """Give a complete environment its name. Its lock file stays behind: whoever opens it makes one."""
    shutil.copymode(source, place)
    files = (os.path.join(source, "data.mdb"), os.path.join(place, "data.mdb"))
    if subdir:
        shutil.copymode(*files)
        os.unlink(os.path.join(place, "lock.mdb"))
        _flush(place)
    if os.path.lexists(target):
        raise FileExistsError(f"cannot migrate to {target}: it was made meanwhile. Name a new one, or remove it.")
    os.rename(place, target)
    _flush(os.path.dirname(target))


def _flush(folder: str) -> None:
    """Make the names in a folder permanent."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _estimate(env: Environment, txn: Transaction) -> int:
    """A map size for the copy, in bytes: that of the source, or twice what it uses."""
    info = env.info()
    used = (info["last_pgno"] + 1) * int(txn.stat()["psize"])
    return max(int(info["map_size"]), 2 * used + _SPARE)


# -- the records -----------------------------------------------------------------------------------------------------


def _copy(
    old: Environment, txn: Transaction, names: list[bytes | None], place: str, lib_version: int, subdir: bool,
    map_size: int, report: Progress, check: bool,
) -> dict[bytes | None, int]:  # fmt: skip
    """Make the new environment, and prove it."""
    # Nobody reads it before it is complete, and then it is flushed as a whole.
    with Environment(
        place, map_size=map_size, subdir=subdir, sync=False, max_dbs=len(names), lib_version=lib_version
    ) as new:
        counts = {name: _copy_database(old, txn, name, len(names) - 1, new, report) for name in names}
        _compare(old, txn, new, counts, check)
        new.sync(True)
    return counts


def _copy_database(
    old: Environment, txn: Transaction, name: bytes | None, others: int, new: Environment, report: Progress
) -> int:
    origin = old.open_db(name, txn=txn, create=False)
    total = txn.stat(origin)["entries"] - (others if name is None else 0)
    report(name, 0, total)
    with new.begin(write=True) as making:
        copied = _make(new, making, name, _definition.flags_of(origin))
    done = 0
    for batch in _batches(_definition.records(old, txn, name, origin)):
        with new.begin(write=True) as writing:
            for key, value in batch:
                _put(new, writing, key, value, name, copied)
        done += len(batch)
        report(name, done, total)
    return done


def _make(new: Environment, txn: Transaction, name: bytes | None, flags: int) -> Any:
    try:
        return _definition.define(new, txn, name, flags)
    except IncompatibleError as problem:
        raise IncompatibleError(
            f"{_definition.label(name)} cannot be made: a record of the main database has its name, and the target's "
            "engine keeps both under one key. Rename one of the two",
            problem.code,
        ) from None


def _put(new: Environment, txn: Transaction, key: bytes, value: bytes, name: bytes | None, database: Any) -> None:
    try:
        _definition.append(txn, key, value, database)
    except BadValsizeError as problem:
        raise BadValsizeError(
            f"{_definition.label(name)}: the record with the key {_shown(key)} of {len(key)} bytes and a value of "
            f"{len(value)} bytes does not fit LMDB {'.'.join(map(str, new.lib_version()))}, where keys have at most "
            f"{new.max_key_size()} bytes, and so have values if a key may have several. Remove or shorten it",
            problem.code,
        ) from None


def _shown(key: bytes) -> str:
    return repr(key) if len(key) <= 64 else f"{key[:64]!r}..."


def _batches(records: Iterator[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """Records in lists of bounded size; one record may be larger."""
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record[0]) + len(record[1])
        if len(batch) == _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _compare(
    old: Environment, txn: Transaction, new: Environment, counts: dict[bytes | None, int], check: bool
) -> None:
    """Compare the two environments: how many records they have and, with ``check``, each of them."""
    with new.begin() as written:
        for name, count in counts.items():
            origin, copied = old.open_db(name, txn=txn), new.open_db(name, txn=written)
            numbers = {count, *(_entries(snapshot, database, name, len(counts) - 1)
                                for snapshot, database in ((txn, origin), (written, copied)))}  # fmt: skip
            if len(numbers) != 1:
                raise Error(f"{_definition.label(name)}: the copy differs in the number of records: {sorted(numbers)}")
            if check:
                _compare_records(
                    name,
                    _definition.records(old, txn, name, origin),
                    _definition.records(new, written, name, copied),
                )


def _entries(txn: Transaction, database: Any, name: bytes | None, others: int) -> int:
    return txn.stat(database)["entries"] - (others if name is None else 0)


def _compare_records(name: bytes | None, *both: Iterator[tuple[bytes, bytes]]) -> None:
    for number, (record, copy) in enumerate(zip_longest(*both), 1):
        if record != copy:
            raise Error(f"{_definition.label(name)}: record {number} of the copy differs: {copy!r} for {record!r}")
