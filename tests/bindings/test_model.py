"""The binding against a model in Python: whatever is done, both say the same.

The model of a database is a set of pairs, that of an open transaction a copy, and that of a cursor the pair that it is
on. What others write near a cursor may move it, so a step is compared only where nobody has written since; reading,
counting and deleting at its place always are.
"""

from __future__ import annotations

import shutil
import tempfile
from bisect import bisect_left, bisect_right
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import lmdb_bindings as lmdb

Pair = tuple[bytes, bytes]

# Few, so that they meet; two that fill pages, so that trees split and merge.
KEYS = st.sampled_from([b"a", b"aa", b"b", b"ba", b"c", b"d" * 300, b"e" * 500])
VALUES = st.sampled_from([b"1", b"11", b"2", b"3" * 100, b"4" * 400, b"5" * 500])


class Machine(RuleBasedStateMachine):
    """An environment, its stack of transactions, and one cursor in the innermost."""

    engine: int
    dupsort: bool

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="model-")
        self.env = lmdb.open(self.folder, lib_version=self.engine, max_dbs=1, sync=False, max_spare_txns=1)
        self.database = self.env.open_db(b"db", dupsort=self.dupsort)
        self.committed: set[Pair] = set()
        self.stack: list[tuple[lmdb.Transaction, set[Pair]]] = []
        self.at: Pair | None = None
        self.written = False  # since the cursor was moved

    def teardown(self) -> None:
        self.env.close()
        shutil.rmtree(self.folder)

    # -- the model -------------------------------------------------------------------------------------------------

    @property
    def txn(self) -> lmdb.Transaction:
        return self.stack[-1][0]

    @property
    def model(self) -> set[Pair]:
        return self.stack[-1][1]

    def values(self, key: bytes) -> list[bytes]:
        return sorted(value for k, value in self.model if k == key)

    def store(self, key: bytes, value: bytes, overwrite: bool, dupdata: bool) -> bool:
        values = self.values(key)
        if (values and not overwrite) or (self.dupsort and value in values and not dupdata):
            return False
        if not self.dupsort:
            self.remove(key)
        self.model.add((key, value))
        return True

    def remove(self, key: bytes, value: bytes = b"") -> bool:
        gone = {pair for pair in self.model if pair[0] == key and (not value or not self.dupsort or pair[1] == value)}
        self.model.difference_update(gone)
        return bool(gone)

    def others_wrote(self) -> None:
        self.written = True
        if self.at not in self.model:
            self.at = None  # nor is the cursor on it when it comes back

    def expect(self, found: bool, pair: Pair | None) -> None:
        """The cursor was moved by itself, and has found or not."""
        assert found is (pair is not None)
        assert self.cursor.item() == (pair or (b"", b""))
        self.at, self.written = pair, False

    # -- transactions ------------------------------------------------------------------------------------------------

    def enter(self, txn: lmdb.Transaction, model: set[Pair]) -> None:
        self.stack.append((txn, model))
        self.open_cursor()

    def open_cursor(self) -> None:
        self.cursor = self.txn.cursor()
        self.at, self.written = None, False

    @initialize()
    def begin(self) -> None:
        self.enter(self.env.begin(write=True, db=self.database), set(self.committed))

    @precondition(lambda self: len(self.stack) < 4)
    @rule()
    def nest(self) -> None:
        self.enter(self.env.begin(write=True, parent=self.txn, db=self.database), set(self.model))

    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        txn, model = self.stack.pop()
        if commit:
            txn.commit()
        else:
            txn.abort()
        if commit and self.stack:
            self.stack[-1] = (self.txn, model)
        elif commit:
            self.committed = model
        if self.stack:
            self.open_cursor()
        else:
            self.begin()

    # -- writing -----------------------------------------------------------------------------------------------------

    @rule(key=KEYS, value=VALUES, overwrite=st.booleans(), dupdata=st.booleans())
    def put(self, key: bytes, value: bytes, overwrite: bool, dupdata: bool) -> None:
        expected = self.store(key, value, overwrite, dupdata)
        assert self.txn.put(key, value, overwrite=overwrite, dupdata=dupdata or not self.dupsort) is expected
        self.others_wrote()

    @rule(key=KEYS, count=st.integers(1, 200))
    def put_many(self, key: bytes, count: int) -> None:
        for number in range(count):
            pair = (key, b"%03d" % number) if self.dupsort else (key + b"%03d" % number, b"x" * 50)
            assert self.txn.put(*pair) is self.store(*pair, True, True) is True
        self.others_wrote()

    @rule(key=KEYS, value=VALUES | st.just(b""))
    def delete(self, key: bytes, value: bytes) -> None:
        assert self.txn.delete(key, value) is self.remove(key, value)
        self.others_wrote()

    @rule(key=KEYS)
    def delete_many(self, key: bytes) -> None:
        for k, value in [pair for pair in self.model if pair[0].startswith(key)][::2]:
            assert self.txn.delete(k, value) is self.remove(k, value) is True
        self.others_wrote()

    @rule()
    def empty(self) -> None:
        self.txn.drop(self.database, delete=False)
        self.model.clear()
        self.others_wrote()

    # -- the cursor ----------------------------------------------------------------------------------------------------

    @rule(last=st.booleans())
    def go_to_the_end(self, last: bool) -> None:
        pairs = sorted(self.model)
        self.expect((self.cursor.last if last else self.cursor.first)(), pairs[-last] if pairs else None)

    @rule(key=KEYS)
    def search(self, key: bytes) -> None:
        values = self.values(key)
        self.expect(self.cursor.set_key(key), (key, values[0]) if values else None)

    @rule(key=KEYS | st.binary(max_size=2))
    def search_range(self, key: bytes) -> None:
        pairs = sorted(self.model)
        place = bisect_left(pairs, (key, b""))
        self.expect(self.cursor.set_range(key), pairs[place] if place < len(pairs) else None)

    @precondition(lambda self: self.dupsort)
    @rule(key=KEYS, value=VALUES, exact=st.booleans())
    def search_pair(self, key: bytes, value: bytes, exact: bool) -> None:
        values = [v for v in self.values(key) if v == value or (not exact and v > value)]
        search = self.cursor.set_key_dup if exact else self.cursor.set_range_dup
        self.expect(search(key, value), (key, values[0]) if values else None)

    @precondition(lambda self: self.at is not None and not self.written)
    @rule(step=st.sampled_from(["next", "prev", "next_nodup", "prev_nodup", "next_dup", "prev_dup"]))
    def step(self, step: str) -> None:
        if step.endswith("_dup") and not self.dupsort:
            return
        pairs = sorted(self.model)
        forwards, key = step.startswith("next"), self.at[0]
        after = pairs[bisect_right(pairs, self.at) :] if forwards else pairs[: bisect_left(pairs, self.at)][::-1]
        if step.endswith("_nodup"):
            after = [pair for pair in after if pair[0] != key]
        elif step.endswith("_dup"):
            after = [pair for pair in after if pair[0] == key]
        self.expect(getattr(self.cursor, step)(), after[0] if after else None)
        self.written = self.at is None

    @rule(key=KEYS, value=VALUES, overwrite=st.booleans())
    def put_by_cursor(self, key: bytes, value: bytes, overwrite: bool) -> None:
        stored = self.store(key, value, overwrite, True)
        assert self.cursor.put(key, value, overwrite=overwrite) is stored
        if stored:
            self.expect(True, (key, value))
        else:
            self.at, self.written = None, True

    @precondition(lambda self: self.at is not None)
    @rule(dupdata=st.booleans())
    def delete_by_cursor(self, dupdata: bool) -> None:
        assert self.cursor.delete(dupdata) is True
        self.remove(self.at[0], b"" if dupdata else self.at[1])
        self.at, self.written = None, True

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def cursor_reads_its_record(self) -> None:
        if self.at is not None:
            assert self.cursor.item() == self.at
            if self.dupsort:
                assert self.cursor.count() == len(self.values(self.at[0]))

    @invariant()
    def database_holds_the_model(self) -> None:
        if self.stack:
            assert list(self.txn.cursor()) == sorted(self.model)
            assert self.txn.stat()["entries"] == len(self.model)

    @invariant()
    def others_see_what_is_committed(self) -> None:
        with self.env.begin(db=self.database) as reader:
            assert list(reader.cursor().iterprev()) == sorted(self.committed, reverse=True)


@pytest.mark.parametrize("dupsort", [False, True], ids=["plain", "dupsort"])
def test_against_a_model(engine: int, dupsort: bool) -> None:
    """Puts, deletes, cursors, nested transactions, commits and aborts leave what the model says."""
    kind: Any = type("Machine", (Machine,), {"engine": engine, "dupsort": dupsort})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
