"""The same calls by every path (see the fixture ``take``), and by a model; all must agree.

They get the same databases and the same calls, and are compared in results, exceptions, their messages and ``record``,
where a cursor is left, and what the database holds in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lmdb_bindings as lmdb
from tests.bindings.kinds import FLAGS, STRINGS, keys_of, outcome, values_of
from tests.bindings.paths import PATHS

Pair = tuple[bytes, bytes]
Take = Callable[[str], None]
Call = tuple[str, dict[str, Any]]


def viewed(data: bytes) -> memoryview:
    return memoryview(data)


# -- what is drawn ---------------------------------------------------------------------------------------------------


def calls(kind: str, *, wild: bool) -> st.SearchStrategy[Call]:
    """One call. The wild ones may ask for what no database takes."""
    keys, values = keys_of(kind), values_of(kind)
    refused = st.nothing()
    if wild:
        refused = st.sampled_from([b"", b"x" * 2000]) | (st.just(b"123") if kind == "integerkey" else st.nothing())
    pair = st.tuples(keys | refused, values | (st.just(b"y" * 2000) if "dup" in kind else st.nothing()))
    if not wild:
        pair = st.tuples(keys, values)
    else:  # what is no record at all, and what is no bytes
        pair |= st.one_of(
            st.just((b"k",)), st.just([b"k", b"v"]), st.just((b"k", None)), st.just(("k", b"v")), st.none(),
            st.tuples(keys.map(bytearray), values.map(viewed)),
        )  # fmt: skip
    items = st.lists(pair, max_size=8) | st.lists(pair, max_size=8).map(lambda pairs: sorted(pairs, key=repr))
    asked = keys | refused | keys.map(bytearray) | (st.sampled_from([None, "text", 1]) if wild else st.nothing())
    bound = st.none() | keys | (st.just(b"") if kind != "integerkey" or wild else st.nothing())
    flag = st.booleans()
    within = {"start": bound, "stop": bound, "include_start": flag, "include_stop": flag}
    if wild or kind not in ("integerkey", "reverse_key"):
        within["prefix"] = st.none() | STRINGS | st.just(b"")
    limit = st.none() | st.integers(0, 5)
    put = {"items": items, "dupdata": flag, "overwrite": flag, "append": flag}
    width = st.none() | st.sampled_from([8, 1] if wild else [8])
    each = {
        "scan": {**within, "reverse": flag, "limit": limit, "keys": flag, "values": flag, "dups": flag},
        "columns": {**within, "reverse": flag, "limit": limit, "dups": flag, "batch": st.integers(1, 4)},
        "getmany": {"keys": st.lists(asked, max_size=6), "default": st.sampled_from([None, b"-", 0])},
        "getmulti": {"keys": st.lists(asked, max_size=6), "dupdata": flag, "dupfixed_bytes": width, "keyfixed": flag,
                     "values": flag},
        "putmany": put,
        "putmulti": put,
        "count_range": {**within, "dups": flag},
        "delete_range": {**within, "limit": limit},
    }  # fmt: skip
    return st.one_of(*(st.tuples(st.just(name), st.fixed_dictionaries(options)) for name, options in each.items()))


def scripts(*, wild: bool) -> st.SearchStrategy[tuple[str, list[Pair], list[Call]]]:
    """A kind of database, what is in it, and calls."""
    return st.sampled_from(sorted(FLAGS)).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.lists(st.tuples(keys_of(kind), values_of(kind)), max_size=25),
            st.lists(calls(kind, wild=wild), min_size=1, max_size=6),
        )
    )


# -- the binding -----------------------------------------------------------------------------------------------------


def perform(txn: lmdb.Transaction, name: str, options: dict[str, Any]) -> Any:
    if name == "scan":
        return list(txn.scan(**options))
    if name == "columns":
        options = dict(options)
        batch = options.pop("batch")
        return [whole(columns) for columns in txn.scan(**options).columns(batch)]
    if name in ("getmulti", "putmulti"):
        with txn.cursor() as cursor:
            done = getattr(cursor, name)(**options)
            return bytes(done) if isinstance(done, memoryview) else done, cursor.item()
    return getattr(txn, name)(**options)


def whole(columns: Any) -> list[Any]:
    """Columns as lists of strings."""
    result: list[Any] = [columns.records]
    for offsets, data in (columns.keys, columns.values):
        places, memory = memoryview(offsets).cast("B").cast("q"), bytes(data)
        assert len(places) == columns.records + 1
        assert places[-1] == len(memory)
        result.append([memory[a:b] for a, b in pairwise(places)])
    return result


def drive(env: lmdb.Environment, db: Any, records: list[Pair], script: list[Call]) -> list[Any]:
    """Do the calls in a transaction that comes to nothing, each with what the database holds after it."""
    with env.begin(write=True, db=db) as txn:
        for pair in records:
            txn.put(*pair)
        trace = []
        for name, options in script:
            trace.append((outcome(partial(perform, txn, name, options)), outcome(lambda: list(txn.cursor()))))
            if trace[-1][0][0] == "raised":
                trace.append(outcome(lambda: txn.stat()["entries"]))  # the transaction is as good, or as bad
        txn.abort()
    return trace


# -- the model -------------------------------------------------------------------------------------------------------


class Model:
    """A database as a list of pairs in order; errors are those that the binding raises."""

    def __init__(self, kind: str, records: Iterable[Pair]) -> None:
        self.kind = kind
        self.dupsort = FLAGS[kind].get("dupsort", False)
        self.pairs: list[Pair] = []
        for key, value in records:
            self.store(key, value)

    def order(self, key: bytes) -> Any:
        if self.kind == "integerkey":
            return int.from_bytes(key, "little")
        return key[::-1] if self.kind == "reverse_key" else key

    def order_of_values(self, value: bytes) -> Any:
        return int.from_bytes(value, "little") if self.kind == "integerdup" else value

    def values(self, key: bytes) -> list[bytes]:
        return [value for other, value in self.pairs if other == key]

    def store(self, key: bytes, value: bytes) -> None:
        if self.dupsort:
            self.pairs = [pair for pair in self.pairs if pair != (key, value)]
        else:
            self.pairs = [pair for pair in self.pairs if pair[0] != key]
        self.pairs.append((key, value))
        self.pairs.sort(key=lambda pair: (self.order(pair[0]), self.order_of_values(pair[1])))

    def within(
        self, start: Any, stop: Any, include_start: bool, include_stop: bool, prefix: Any = None
    ) -> Callable[[bytes], bool]:
        def inside(key: bytes) -> bool:
            place = self.order(key)
            if start and (place < self.order(start) or (key == start and not include_start)):
                return False
            if stop is not None and (not stop or place > self.order(stop) or (key == stop and not include_stop)):
                return False
            return prefix is None or key.startswith(prefix)

        return inside

    def range(self, options: dict[str, Any], *, reverse: bool = False, dups: bool = True) -> list[Pair]:
        names = ("start", "stop", "include_start", "include_stop", "prefix")
        inside = self.within(**{name: options[name] for name in names if name in options})
        found = [pair for pair in self.pairs if inside(pair[0])]
        if reverse:
            found.reverse()
        if not dups:
            found = [pair for place, pair in enumerate(found) if place == 0 or found[place - 1][0] != pair[0]]
        return found

    # -- the calls

    def scan(self, *, reverse: bool, limit: int | None, keys: bool, values: bool, dups: bool, **within: Any) -> Any:
        if not keys and not values:
            raise ValueError
        found = self.range(within, reverse=reverse, dups=dups)[:limit]
        return found if keys and values else [pair[0 if keys else 1] for pair in found]

    def columns(self, *, reverse: bool, limit: int | None, dups: bool, batch: int, **within: Any) -> Any:
        found = self.range(within, reverse=reverse, dups=dups)[:limit]
        parts = [found[place : place + batch] for place in range(0, len(found), batch)]
        return [[len(part), [key for key, _ in part], [value for _, value in part]] for part in parts]

    def getmany(self, keys: list[Any], default: Any) -> Any:
        return [next(iter(self.values(bytes(key))), default) for key in keys]

    def getmulti(self, keys: list[Any], dupdata: bool, dupfixed_bytes: int | None, keyfixed: bool, values: bool) -> Any:
        if (dupfixed_bytes or keyfixed) and not dupdata:
            raise TypeError
        if (keyfixed and not dupfixed_bytes) or (not values and dupdata):
            raise TypeError
        if dupfixed_bytes and self.kind not in ("dupfixed", "integerdup"):
            raise lmdb.IncompatibleError("")
        found = [(bytes(key), value) for key in keys for value in self.values(bytes(key))[: None if dupdata else 1]]
        last = bytes(keys[-1]) if keys else b""
        at = next(((last, value) for value in self.values(last)), (b"", b""))
        if not values:
            return [key for key, _ in found], at
        if keyfixed and len({len(key) for key, _ in found}) > 1:
            raise ValueError
        return b"".join(key + value for key, value in found) if keyfixed else found, at

    def put(self, items: list[Pair], dupdata: bool, overwrite: bool, append: bool, lenient: bool) -> int:
        added = 0
        for record, (key, value) in enumerate(items):
            there = self.values(key)
            spared = bool(there) if not overwrite else self.dupsort and not dupdata and value in there
            late = False
            if append and self.dupsort:
                late = bool(there) and self.order_of_values(value) <= self.order_of_values(there[-1])
            elif append:
                late = bool(self.pairs) and self.order(key) <= self.order(self.pairs[-1][0])
            if spared or (late and lenient):
                continue
            if late:
                problem = lmdb.KeyExistsError("")
                problem.record = record
                raise problem
            self.store(key, value)
            added += 1
        return added

    def putmany(self, items: list[Pair], dupdata: bool, overwrite: bool, append: bool) -> int:
        return self.put(items, dupdata, overwrite, append, lenient=False)

    def putmulti(self, items: list[Pair], dupdata: bool, overwrite: bool, append: bool) -> Any:
        added = self.put(items, dupdata, overwrite, append, lenient=True)
        at = (b"", b"")
        if items:  # it goes where the last one is, if it is there
            key, value = items[-1]
            there = self.values(key)
            if self.dupsort:
                at = (key, value) if value in there else at
            elif there:
                at = (key, there[0])
        return (len(items), added), at

    def count_range(self, *, dups: bool, **within: Any) -> int:
        return len(self.range(within, dups=dups))

    def delete_range(self, *, limit: int | None, **within: Any) -> int:
        gone = {key for key, _ in self.range(within, dups=False)[:limit]}
        before = len(self.pairs)
        self.pairs = [pair for pair in self.pairs if pair[0] not in gone]
        return before - len(self.pairs)


def expected(kind: str, records: list[Pair], script: list[Call]) -> list[Any]:
    """The trace of the model, without messages."""
    model = Model(kind, records)
    trace: list[Any] = []
    for name, options in script:
        result = outcome(partial(getattr(model, name), **options))
        trace.append((plainly(result), ("returned", model.pairs)))
        if result[0] == "raised":
            trace.append(("returned", len(model.pairs)))
    return trace


def plainly(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """An outcome without its message."""
    return result if result[0] == "returned" else (result[0], result[1], result[3])


def without_messages(trace: list[Any]) -> list[Any]:
    return [(plainly(step[0]), step[1]) if isinstance(step[0], tuple) else step for step in trace]


# -- the comparison --------------------------------------------------------------------------------------------------

CAREFUL = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def kinds(opened: Callable[..., lmdb.Environment]) -> tuple[lmdb.Environment, dict[str, Any]]:
    """An environment with a database of each kind."""
    env = opened(map_size=1 << 26, sync=False)
    return env, {kind: env.open_db(kind.encode(), **flags) for kind, flags in FLAGS.items()}


@CAREFUL
@given(script=scripts(wild=False))
def test_all_paths_do_what_the_model_does(
    kinds: tuple[lmdb.Environment, dict[str, Any]], take: Take, script: tuple[str, list[Pair], list[Call]]
) -> None:
    """By the bulk library, in Python and in the model, the same calls have the same results and effects."""
    env, databases = kinds
    kind, records, todo = script
    traces = []
    for path in PATHS:
        take(path)
        traces.append(drive(env, databases[kind], records, todo))
    assert all(trace == traces[0] for trace in traces)
    assert without_messages(traces[0]) == expected(kind, records, todo)


@CAREFUL
@given(script=scripts(wild=True))
def test_all_paths_refuse_alike(
    kinds: tuple[lmdb.Environment, dict[str, Any]], take: Take, script: tuple[str, list[Pair], list[Call]]
) -> None:
    """What no database takes is refused by all paths with one exception, message and record, and one state after it."""
    env, databases = kinds
    kind, records, todo = script
    traces = []
    for path in PATHS:
        take(path)
        traces.append(drive(env, databases[kind], records, todo))
    assert all(trace == traces[0] for trace in traces)
