"""What one thread of the stress run does: operations at random, each checked as far as one can check it alone."""

from __future__ import annotations

import gc
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import islice
from random import Random
from typing import Any

import lmdb_bindings as lmdb
from tests.stress import content, record
from tests.stress.content import DamageError, pack
from tests.stress.journal import Journal
from tests.stress.shared import FIRST_SIZE, SharedEnvironment

_GONE = "Attempt to operate on closed/deleted/dropped object."
_WRITER_ACTIVE = "Cannot set_mapsize while a write transaction is active"
_HANDLES = ("Databases were opened since this transaction began", "Another transaction has opened databases")
_NOBODY = 0xFFFF
"""The writer of records that are never committed."""


class Operations:
    """One writer, which reads too.

    Args:
        shared: the environment of the process.
        journal: of what is committed.
        writer: its number among all writers of all processes.
        seed: for all that is random.

    Attributes:
        counts: what was done, and how often.
    """

    def __init__(self, shared: SharedEnvironment, journal: Journal, writer: int, seed: str) -> None:
        self._shared = shared
        self._journal = journal
        self._writer = writer
        self._me = pack(writer)
        self._dice = Random(seed)
        self._number = 0
        self._kept: deque[int] = deque(maxlen=content.KEPT)
        self._views: list[tuple[memoryview, memoryview]] = []
        self.counts: Counter[str] = Counter()

    def draw(self) -> Callable[[], None]:
        """The next operation."""
        name = self._dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        drawn: Callable[[], None] = getattr(self, name)
        return drawn

    def run(self, operation: Callable[[], None]) -> None:
        """Run an operation, and accept what other threads and processes may do to it.

        Raises:
            DamageError: it found what must not be.
            Exception: whatever else must not happen.
        """
        while self._shared.is_closed:
            self.let_views_go()
            time.sleep(0.001)
        try:
            operation()
        except lmdb.MapResizedError:
            self._count("maps adopted")
            self._resize(lambda: self._shared.env.set_mapsize(0))
        except lmdb.MapFullError:
            self._count("maps full")
            self._resize(self._shared.grow)
        except lmdb.Error as problem:
            if str(problem).startswith(_GONE):
                self._count("refused, closed")
            elif str(problem).startswith(_HANDLES):
                self._count("refused, handles")
            else:
                raise
        if self._dice.random() < 0.3:
            self.let_views_go()

    def let_views_go(self) -> None:
        """Check the views that were kept, and drop them."""
        while self._views:
            self._check(self._views.pop())

    def drop_views(self) -> None:
        """Drop the views unseen: something else has gone wrong."""
        self._views.clear()

    def _count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def _check(self, *records: tuple[Any, Any]) -> None:
        for key, value in records:
            if not record.is_whole(key, value):
                raise DamageError(f"{bytes(key)!r} has {bytes(value)[:40]!r}, {len(value)} bytes")

    def _databases(self, env: lmdb.Environment) -> list[Any]:
        """``count``, ``number`` and ``part``."""
        return [env.open_db(name, create=False) for name in (b"count", b"number", b"part")]

    def _pairs(self, number: int) -> list[tuple[bytes, bytes]]:
        """The records of one of this writer's transactions."""
        parts = range(record.parts(self._writer, number))
        return [(record.key(self._writer, number, i), record.value(self._writer, number, i)) for i in parts]

    def _any_pairs(self) -> list[tuple[bytes, bytes]]:
        """Those of a transaction of its that is committed; of none at the beginning."""
        return self._pairs(self._dice.choice(self._kept)) if self._kept else []

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """One transaction, committed or aborted."""
        env = self._shared.env
        databases = self._databases(env)
        txn = env.begin(write=True)
        self._number += 1
        try:
            self._fill(txn, *databases)
            if self._dice.random() < 0.15:
                txn.abort()
                self._count("aborts")
                return
            txn.commit()
        except lmdb.MapFullError:
            raise
        except lmdb.Error as problem:  # no other thread can end it, so "closed" would be wrong too
            raise DamageError(f"a write transaction failed: {problem!r}") from problem
        finally:
            txn.abort()  # another thread may look at it, and would keep it
        self._journal.note(self._writer, self._number)
        self._kept.append(self._number)
        self._count("commits")

    def _fill(self, txn: Any, count: Any, number: Any, part: Any) -> None:
        self._shared.writer = txn
        last = self._kept[-1] if self._kept else None
        if txn.get(self._me, db=count) != (None if last is None else pack(last)):
            raise DamageError(f"writer {self._writer} has committed {last}, but finds {txn.get(self._me, db=count)!r}")
        pairs = self._pairs(self._number)
        self._put(txn, part, pairs)
        if txn.put(self._me, pack(self._number), db=count) is not True:
            raise DamageError("put() has refused a count")
        if txn.put(self._me, pack(self._number), db=number) is not True:
            raise DamageError("put() has refused a number")
        if len(self._kept) == content.KEPT:
            self._delete(txn, number, part, self._kept[0])
        self._check_same(self._look_up(txn, part, pairs), pairs)

    def _put(self, txn: Any, part: Any, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store records in one of many ways; those of nobody are always undone."""
        way = self._dice.randrange(6)
        if way == 0:
            with txn.cursor(part) as cursor:
                if cursor.putmulti(iter(pairs)) != (len(pairs), len(pairs)):
                    raise DamageError("putmulti() has refused records")
        elif way == 1:
            with txn.cursor(part) as cursor:
                for key, value in pairs:
                    cursor.put(key, b"overwritten")
                    if cursor.replace(key, value) != b"overwritten":
                        raise DamageError("replace() has lost a value")
        elif way == 2:
            with self._shared_nested(txn) as child:
                self._put(child, part, pairs)
            self._count("nested commits")
        elif way == 3:
            child = self._shared_nested(txn)
            for i in range(3):
                child.put(record.key(_NOBODY, self._number, i), b"x" * self._dice.choice((10, 9000)), db=part)
            child.abort()
            self._count("nested aborts")
            self._put(txn, part, pairs)
        else:
            for key, value in pairs:
                if txn.put(key, value, db=part, overwrite=way == 4) is not True:
                    raise DamageError("put() has refused a record")

    def _shared_nested(self, txn: Any) -> Any:
        child = txn.env.begin(write=True, parent=txn)
        self._shared.writer = child
        return child

    def _delete(self, txn: Any, number: Any, part: Any, old: int) -> None:
        if not txn.delete(self._me, pack(old), db=number):
            raise DamageError(f"number {old} of writer {self._writer} is gone")
        for key, value in self._pairs(old):
            way = self._dice.randrange(3)
            if way == 0 and not txn.delete(key, db=part):
                raise DamageError(f"{key!r} is gone")
            if way == 1 and txn.pop(key, db=part) != value:
                raise DamageError(f"{key!r} had another value")
            if way == 2:
                with txn.cursor(part) as cursor:
                    if not (cursor.set_key(key) and cursor.value() == value and cursor.delete()):
                        raise DamageError(f"{key!r} was not what was written")

    def scratch(self) -> None:
        """Records and databases that no one counts: written, emptied, made and dropped."""
        env, dice = self._shared.env, self._dice
        common = env.open_db(b"scratch", create=False)
        with env.begin(write=True, db=common) as txn:
            for _ in range(dice.randrange(20)):
                key = pack(dice.randrange(100))
                found = txn.get(key, key) if dice.random() < 0.8 else txn.pop(key) or key
                if found != key * (len(found) // 8):
                    raise DamageError(f"scratch: {key!r} has {found[:40]!r}")
                txn.put(key, key * dice.randrange(1, 1500))
            if dice.random() < 0.1:
                txn.drop(common, delete=False)
            if dice.random() < 0.3:
                own = env.open_db(b"of writer %d" % self._writer, txn)
                txn.put(b"mine", self._me, db=own)
                if [bytes(value) for _, value in txn.cursor(own)] != [self._me]:
                    raise DamageError("another database was opened than was asked for")
                if dice.random() < 0.5:
                    txn.drop(own)
                    self._count("databases dropped")
        self._count("scratch commits")

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self) -> None:
        """What this thread has committed is there."""
        env, pairs = self._shared.env, self._any_pairs()
        _, _, part = self._databases(env)
        with env.begin() as txn:
            self._check_same(self._look_up(txn, part, pairs), pairs)
        self._count("gets", len(pairs))

    def _look_up(self, txn: Any, part: Any, pairs: list[tuple[bytes, bytes]]) -> list[tuple[Any, Any]]:
        """Look the keys up, in one of many ways."""
        way = self._dice.randrange(4)
        if way == 0:
            return [(key, txn.get(key, b"missing", db=part)) for key, _ in pairs]
        if way == 1:
            return [(key, txn.get(bytearray(key), b"missing", part)) for key, _ in pairs]
        with txn.cursor(part) as cursor:
            if way == 2:
                found: list[tuple[Any, Any]] = cursor.getmulti([key for key, _ in pairs])
                return found
            return [cursor.item() for key, _ in pairs if cursor.set_key(key)]

    def _check_same(self, found: Iterable[tuple[Any, Any]], pairs: list[tuple[bytes, bytes]]) -> None:
        if list(found) != pairs:
            raise DamageError(f"writer {self._writer} finds {str(found)[:200]}, not {str(pairs)[:200]}")

    def scan(self) -> None:
        """A whole snapshot is what the writers have made, each transaction of it complete."""
        env, buffers = self._shared.env, self._dice.random() < 0.3
        count, number, part = self._databases(env)
        with env.begin(buffers=buffers) as txn:
            cursor = txn.cursor(part)
            records = cursor.iterprev() if self._dice.random() < 0.3 else cursor.iternext()
            there = content.check(txn.cursor(count), txn.cursor(number), records)
        if there.get(self._writer, []) != list(self._kept):
            raise DamageError(f"writer {self._writer}: {there.get(self._writer)} are there, not {self._kept}")
        self._count("scans")

    def keep_views(self) -> None:
        """Views of a read transaction, which are checked when it has ended, or the environment is closed."""
        env = self._shared.env
        _, _, part = self._databases(env)
        txn = env.begin(part, buffers=True)
        cursor = txn.cursor()
        for key, value in self._any_pairs():
            if not cursor.set_key(key):
                raise DamageError(f"{key!r} is gone")
            self._views.append((cursor.key()[:], cursor.value()[:]))
            self._check_same([(key, txn.get(key))], [(key, value)])
        end = self._dice.choice((txn.commit, txn.abort, cursor.close, None))
        if end is not None:
            end()
        self._count("views", len(self._views))

    def use_shared_reader(self) -> None:
        """A read transaction that other threads use at the same time."""
        shared = self._shared
        txn = shared.reader
        if txn is None or self._dice.random() < 0.1:
            env, old = shared.env, txn
            self._databases(env)  # a transaction knows those that were open when it began
            txn = shared.reader = env.begin()
            if old is not None and self._dice.random() < 0.5:
                old.abort()
        part = txn.env.open_db(b"part", create=False)
        try:
            for key, _ in self._any_pairs():  # its snapshot may be older than the record
                if value := txn.get(key, db=part):
                    self._check((key, value))
            with txn.cursor(part) as cursor:
                cursor.set_range(record.key(self._dice.randrange(64), self._dice.randrange(self._number + 1), 0))
                for found in islice(cursor, 100):
                    self._check(found)
        except lmdb.Error:
            shared.reader = None
            raise
        self._count("shared reads")

    def look_at_writer(self) -> None:
        """Look up in a write transaction that another thread is filling."""
        txn = self._shared.writer
        if txn is None:
            return
        part = txn.env.open_db(b"part", create=False)
        for key, _ in self._any_pairs():
            try:
                value = txn.get(key, db=part)
            except lmdb.BadTxnError:  # a nested one is open
                return
            if value:
                self._check((key, value))
        self._count("looks at a writer")

    def open_databases(self) -> None:
        """Open databases, by a transaction or without; each is the one that was asked for."""
        env = self._shared.env
        names = [b"count", b"number", b"part"]
        self._dice.shuffle(names)
        with env.begin() as txn:
            given = txn if self._dice.random() < 0.5 else None
            opened = {name: env.open_db(name, given, create=False) for name in names}
        handles = [database._dbi for database in opened.values() if database._dbi is not None]  # None: it was closed
        if len(set(handles)) != len(handles):
            raise DamageError(f"databases share a handle: {handles}")
        with env.begin() as txn:
            last = pack(self._kept[-1]) if self._kept else None
            if txn.get(self._me, db=opened[b"count"]) != last:
                raise DamageError("count: another database, or a lost commit")
            values = list(txn.cursor(opened[b"number"]).getmulti([self._me], dupdata=True))
            if [value for _, value in values] != [pack(number) for number in self._kept]:
                raise DamageError("number: another database, or a lost commit")
        self._count("databases opened", len(names))

    # -- the environment -----------------------------------------------------------------------------------------

    def drop_garbage(self) -> None:
        """Leave transactions, cursors, iterations and views to the collector."""
        env = self._shared.env
        _, _, part = self._databases(env)
        write = self._dice.random() < 0.2
        cycle: list[Any] = [env.begin(part, write=write, buffers=self._dice.random() < 0.5)]
        cycle.append(cycle)
        if not write:
            for _ in range(2):
                cursor = cycle[0].cursor()
                iteration = iter(cursor)
                cycle += [cursor, iteration, next(iteration, None)]
        if self._dice.random() < 0.3:
            cycle.pop(0)
        del cycle
        if write or self._dice.random() < 0.3:
            gc.collect()
        if write:
            self._write_again(env)
        self._count("garbage")

    def _write_again(self, env: lmdb.Environment) -> None:
        """End what is left of this thread's write transaction, for which all other writers wait: it does so by its
        next one. The collector may be about to find it, in another thread.
        """
        while True:
            try:
                env.begin(write=True).abort()
            except lmdb.Error as problem:  # noqa: PERF203 (rare)
                if "on the same thread" not in str(problem):
                    raise
                gc.collect()
                time.sleep(0.001)
            else:
                return

    def look_at_readers(self) -> None:
        """Everything that asks about the environment."""
        env = self._shared.env
        if cleared := env.reader_check():
            raise DamageError(f"{cleared} reader slots of processes that live were cleared")
        env.readers()
        env.info()
        env.stat()
        env.flags()
        env.sync(force=self._dice.random() < 0.1)
        self._count("looks at readers")

    def resize(self) -> None:
        """Another size of the map; LMDB takes none that is smaller than what is used."""
        env = self._shared.env
        larger = self._dice.random() < 0.7
        self._resize(self._shared.grow if larger else lambda: env.set_mapsize(FIRST_SIZE))

    def _resize(self, change: Callable[[], None]) -> None:
        self.let_views_go()
        try:
            change()
        except BufferError:
            self._count("refused, views")
        except lmdb.Error as problem:
            if str(problem) not in (_GONE, _WRITER_ACTIVE):
                raise
            self._count("refused, a writer" if str(problem) == _WRITER_ACTIVE else "refused, closed")
        else:
            self._count("resizes")

    def reopen(self) -> None:
        """Close the environment while others use it, and open it again."""
        self.let_views_go()  # they would keep it open for as long as this thread waits
        if self._shared.reopen():
            self._count("closes")


_WEIGHTS = {
    "write": 30, "get": 15, "scan": 2, "keep_views": 8, "use_shared_reader": 8, "look_at_writer": 4, "scratch": 6,
    "open_databases": 4, "drop_garbage": 4, "look_at_readers": 3, "resize": 1, "reopen": 1,
}  # fmt: skip
"""The operations, and how often each is drawn."""
