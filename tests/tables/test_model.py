"""A table beside a dict: whatever is done to both, they and the indexes stay the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
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
from lmdb_bindings.tables import Index, Table, UniqueError, keys, values

Key = tuple[str, int]
Value = dict[str, Any]


def initial(value: Value) -> str | None:
    """The key of the index ``by_initial``."""
    return value["mail"][:1] if "mail" in value else None


INDEXES: dict[str, Index[Any]] = {
    "by_mail": Index("mail", keys.string, unique=True),
    "by_tag": Index("tag", keys.string, unique=True),
    "by_city": Index("home.city", keys.string),
    "by_city_and_age": Index(("home.city", "age"), keys.tuple_of(keys.string, keys.int8)),
    "by_initial": Index(initial, keys.string),
}

# What an index says of a value, in Python.
RULES: dict[str, Callable[[Value], Any]] = {
    "by_mail": lambda value: value.get("mail"),
    "by_tag": lambda value: value.get("tag"),
    "by_city": lambda value: value.get("home", {}).get("city"),
    "by_city_and_age": lambda value: (
        (value["home"]["city"], value["age"]) if "home" in value and "age" in value else None
    ),
    "by_initial": initial,
}
UNIQUE = ("by_mail", "by_tag")

words = st.text(alphabet="ab\0é", max_size=2)
some_keys = st.tuples(words, st.integers(-2, 2))
some_values = st.fixed_dictionaries(
    {},
    optional={
        "mail": words,
        "tag": words,
        "age": st.integers(-128, 127),
        "home": st.fixed_dictionaries({"city": words}),
        "pad": st.integers(0, 3000).map(lambda size: "x" * size),
    },
)
records = st.lists(st.tuples(some_keys, some_values), max_size=5)


class TableMachine(RuleBasedStateMachine):
    """Does the same to a table and to a dict."""

    engine: int

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.env = lmdb.open(self.folder.name, lib_version=self.engine, max_dbs=8, sync=False, map_size=1 << 24)
        self.model: dict[Key, Value] = {}
        self.saved: dict[Key, Value] = {}
        self.indexes: dict[str, Index[Any]] = {}
        self.block: Any = None
        self.bound: Table[Key, Value] | None = None

    def teardown(self) -> None:
        """Close everything."""
        if self.block is not None:
            self.block.__exit__(None, None, None)
        self.env.close()
        self.folder.cleanup()

    @initialize(names=st.sets(st.sampled_from(sorted(INDEXES))))
    def make(self, names: set[str]) -> None:
        """Make the table, with some of the indexes."""
        self.indexes = {name: INDEXES[name] for name in names}
        self.table: Table[Key, Value] = Table(
            self.env, "people", key=keys.tuple_of(keys.string, keys.int8), value=values.json, indexes=self.indexes
        )

    @property
    def now(self) -> Table[Key, Value]:
        """The table, bound while there is a transaction."""
        return self.table if self.bound is None else self.bound

    # -- transactions ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.bound is None)
    @rule()
    def begin(self) -> None:
        """From now on within one transaction."""
        self.saved = dict(self.model)
        self.block = self.table.begin(write=True)
        self.bound = self.block.__enter__()

    @precondition(lambda self: self.bound is not None)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        """Commit, or abort."""
        block, self.block, self.bound = self.block, None, None
        if keep:
            block.__exit__(None, None, None)
            return
        assert not block.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        self.model = self.saved

    # -- writing -----------------------------------------------------------------------------------------------------

    def others(self, key: Key, value: Value) -> list[Key]:
        """The records that a record would share a key of a unique index with."""
        found = []
        for name in UNIQUE:
            wanted = RULES[name](value)
            if name in self.indexes and wanted:
                found += [other for other, has in self.model.items() if other != key and RULES[name](has) == wanted]
        return found

    @rule(key=some_keys, value=some_values, overwrite=st.booleans(), replace=st.booleans())
    def put(self, key: Key, value: Value, overwrite: bool, replace: bool) -> None:
        """Store one record."""
        others = self.others(key, value)
        conflict: Any = "replace" if replace else "raise"
        if not overwrite and key in self.model:
            assert self.now.put(key, value, overwrite=False, conflict=conflict) is False
        elif others and not replace:
            with pytest.raises(UniqueError) as caught:
                self.now.put(key, value, overwrite=overwrite, conflict=conflict)
            assert caught.value.key == key
            assert caught.value.holder in others
        else:
            assert self.now.put(key, value, overwrite=overwrite, conflict=conflict) is True
            for other in others:
                self.model.pop(other, None)
            self.model[key] = value

    @rule(pairs=records)
    def update(self, pairs: list[tuple[Key, Value]]) -> None:
        """Store many, in whatever form; unbound it is all or nothing."""
        expected = dict(self.model)
        fits = True
        for key, value in pairs:
            if self.others(key, value):
                fits = False
                break
            self.model[key] = value
        if fits:
            self.now.update(iter(pairs))
            return
        with pytest.raises(UniqueError):
            self.now.update(iter(pairs))
        if self.bound is None:
            self.model = expected

    @rule(key=some_keys, value=some_values)
    def setdefault(self, key: Key, value: Value) -> None:
        """Store a record unless there is one."""
        if key not in self.model and self.others(key, value):
            with pytest.raises(UniqueError):
                self.now.setdefault(key, value)
            return
        assert self.now.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(key=some_keys)
    def delete(self, key: Key) -> None:
        """Delete one."""
        if key not in self.model:
            with pytest.raises(KeyError) as caught:
                del self.now[key]
            assert caught.value.args == (key,)
            return
        del self.model[key]
        del self.now[key]

    @rule(key=some_keys)
    def discard(self, key: Key) -> None:
        """Delete one, by looking through the indexes."""
        assert self.now.discard(key) is (self.model.pop(key, None) is not None)

    @rule(key=some_keys)
    def pop(self, key: Key) -> None:
        """Take one out."""
        assert self.now.pop(key, None) == self.model.pop(key, None)
        with pytest.raises(KeyError):
            self.now.pop(key)

    @rule()
    def popitem(self) -> None:
        """Take the last one out."""
        if not self.model:
            with pytest.raises(KeyError):
                self.now.popitem()
            return
        last = max(self.model)
        assert self.now.popitem() == (last, self.model.pop(last))

    @rule(
        start=st.none() | some_keys,
        stop=st.none() | some_keys,
        limit=st.none() | st.integers(0, 3),
        reverse=st.booleans(),
    )
    def delete_range(self, start: Key | None, stop: Key | None, limit: int | None, reverse: bool) -> None:
        """Delete a range of keys."""
        chosen = [key for key in sorted(self.model, reverse=reverse) if within(key, start, stop)][:limit]
        assert self.now.range(start, stop, limit=limit, reverse=reverse).delete() == len(chosen)
        for key in chosen:
            del self.model[key]

    @rule(name=st.sampled_from(sorted(INDEXES)), data=st.data())
    def delete_by_index(self, name: str, data: st.DataObject) -> None:
        """Delete what an index has for a range of its keys."""
        if name not in self.indexes:
            return
        start = data.draw(st.none() | (some_keys if name == "by_city_and_age" else words.filter(bool)))
        chosen = [key for index_key, key in self.entries(name) if within(index_key, start, None)]
        assert self.now.by(name).range(start).delete() == len(chosen)
        for key in chosen:
            del self.model[key]

    @rule()
    def clear(self) -> None:
        """Delete all."""
        self.now.clear()
        self.model.clear()

    # -- indexes -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.bound is None)
    @rule(name=st.sampled_from(sorted(INDEXES)))
    def change_indexes(self, name: str) -> None:
        """Drop an index, or add it, which fails where it is unique and the records are not."""
        if name in self.indexes:
            self.table.drop_index(name)
            del self.indexes[name]
            return
        found = [RULES[name](value) for value in self.model.values() if RULES[name](value)]
        if name in UNIQUE and len(set(found)) < len(found):
            with pytest.raises(UniqueError):
                self.table.add_index(name, INDEXES[name])
            return
        self.table.add_index(name, INDEXES[name])
        self.indexes[name] = INDEXES[name]

    @precondition(lambda self: self.bound is None)
    @rule()
    def reindex(self) -> None:
        """Make all indexes anew."""
        assert self.table.reindex() == sum(len(self.entries(name)) for name in self.indexes)

    @precondition(lambda self: self.bound is None)
    @rule()
    def reopen(self) -> None:
        """Another table object, by the catalog."""
        functions = {name: index for name, index in self.indexes.items() if index.function}
        self.table = Table(self.env, "people", indexes=functions)

    # -- what must be ------------------------------------------------------------------------------------------------

    def entries(self, name: str) -> list[tuple[Any, Key]]:
        """What an index must have, in its order."""
        found = [(RULES[name](value), key) for key, value in self.model.items()]
        return sorted((index_key, key) for index_key, key in found if index_key not in (None, ""))

    @invariant()
    def same(self) -> None:
        """The table is the dict, in the order of its keys."""
        if not hasattr(self, "table"):
            return
        now, expected = self.now, sorted(self.model.items())
        assert list(now.items()) == expected
        assert list(reversed(now.items())) == expected[::-1]
        assert list(now) == [key for key, _ in expected]
        assert list(now.values()) == [value for _, value in expected]
        assert len(now) == len(expected)
        assert now.first() == (expected[0] if expected else None)
        assert now.last() == (expected[-1] if expected else None)
        assert now == self.model

    @invariant()
    def indexes_are_right(self) -> None:
        """Each index leads to the records in its order, and check() finds nothing."""
        if not hasattr(self, "table"):
            return
        for name in self.indexes:
            found, lookup = self.entries(name), self.now.by(name)
            assert list(lookup.range().keys()) == [key for _, key in found]
            assert list(lookup.range(reverse=True)) == [(key, self.model[key]) for _, key in reversed(found)]
            assert list(lookup) == sorted({index_key for index_key, _ in found})
            assert len(lookup) == len({index_key for index_key, _ in found})
        assert list(self.now.check()) == []

    @rule(start=st.none() | some_keys, stop=st.none() | some_keys, includes=st.tuples(st.booleans(), st.booleans()))
    def ranges(self, start: Key | None, stop: Key | None, includes: tuple[bool, bool]) -> None:
        """A range has what lies between its bounds."""
        query = self.now.range(start, stop, include_start=includes[0], include_stop=includes[1])
        expected = [key for key in sorted(self.model) if within(key, start, stop, *includes)]
        assert list(query.keys()) == expected
        assert len(query) == query.count() == len(expected)
        assert bool(query) is bool(expected)

    @rule(word=words)
    def prefixes(self, word: str) -> None:
        """The leading part of a tuple is a prefix."""
        assert list(self.now.prefix((word,)).keys()) == [key for key in sorted(self.model) if key[0] == word]

    @rule(key=some_keys)
    def look_up(self, key: Key) -> None:
        """A key is there, or KeyError."""
        assert self.now.get(key) == self.model.get(key)
        assert (key in self.now) is (key in self.model)
        if key not in self.model:
            with pytest.raises(KeyError) as caught:
                self.now[key]
            assert caught.value.args == (key,)

    @rule(word=words.filter(bool))
    def look_up_by_index(self, word: str) -> None:
        """A key of a unique index leads to its record, and one of another to all of its records."""
        if "by_mail" in self.indexes:
            found = [key for index_key, key in self.entries("by_mail") if index_key == word]
            lookup = self.now.by("by_mail")
            assert (word in lookup) is bool(found)
            assert lookup.get(word, "none") == (self.model[found[0]] if found else "none")
            if found:
                assert (lookup.key(word), lookup[word]) == (found[0], self.model[found[0]])
        if "by_city" in self.indexes:
            found = [key for index_key, key in self.entries("by_city") if index_key == word]
            assert list(self.now.by("by_city")[word].keys()) == found


def within(key: Any, start: Any, stop: Any, include_start: bool = True, include_stop: bool = False) -> bool:
    """Whether a key lies between two others."""
    after = start is None or key > start or (include_start and key == start)
    return after and (stop is None or key < stop or (include_stop and key == stop))


@pytest.mark.parametrize("engine", [0, 1], ids=["engine 0.9", "engine 1.0"])
def test_a_table_is_a_mapping_with_indexes(engine: int) -> None:
    """Whatever is done to a table and to a dict, they stay the same, and each index is what the records say."""
    machine = type("Machine", (TableMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
