"""A table as a mapping: what the model does not say."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Index, MismatchError, Table, TableError, keys, values


@pytest.fixture
def table(env: lmdb.Environment) -> Table[int, str]:
    """A small table."""
    made: Table[int, str] = Table(env, "numbers", key=keys.int32, value=values.string)
    made.update({1: "one", -3: "minus three", 2: "two"})
    return made


def test_it_is_a_mapping(table: Table[int, str]) -> None:
    """Its views are sets, can be reversed, and change with it; it is equal to any mapping with the same records."""
    expected = {-3: "minus three", 1: "one", 2: "two"}
    assert table == expected
    assert expected == table
    assert table != {**expected, 2: "zwei"}
    assert table != {-3: "minus three", 1: "one", 3: "two"}
    assert table != {1: "one"}
    assert table != [1]
    assert table != {"a": "one", "b": "two", "c": "three"}
    assert table.keys() == {-3, 1, 2}
    assert table.keys() & {1, 7} == {1}
    assert (1, "one") in table.items()
    assert (1, "eins") not in table.items()
    assert "two" in table.values()
    assert "drei" not in table.values()
    assert list(reversed(table)) == list(reversed(table.keys())) == [2, 1, -3]
    assert list(reversed(table.values())) == ["two", "one", "minus three"]
    assert list(reversed(table.items())) == list(reversed(expected.items()))
    keys_view = table.keys()
    table[9] = "nine"
    assert list(keys_view) == [-3, 1, 2, 9]
    assert repr(table) == "<table 'numbers' of int32 to string>"
    with pytest.raises(TypeError, match="unhashable"):
        hash(table)


def test_tables_with_other_keys_are_not_equal(env: lmdb.Environment) -> None:
    """Neither asks the other for a key that it cannot have; keys of two codecs may be the same."""
    made: list[Table[Any, int]] = []
    for codec, key in ((keys.uint8, 200), (keys.int8, 100), (keys.string, "a"), (keys.uint64, 200)):
        made.append(Table(env, f"t{len(made)}", key=codec, value=values.json))
        made[-1][key] = 1
    assert [[one == other for other in made] for one in made] == [
        [True, False, False, True], [False, True, False, False], [False, False, True, False], [True, False, False, True],
    ]  # fmt: skip


def test_a_missing_key(table: Table[int, str]) -> None:
    """It is a KeyError with the key, or the default; one of another type is a TypeError, as it would never be found."""
    for look in (table.__getitem__, table.__delitem__, table.pop):
        with pytest.raises(KeyError) as caught:
            look(7)
        assert caught.value.args == (7,)
    assert table.get(7) is None
    assert table.get(7, "seven") == table.pop(7, "seven") == "seven"
    assert 7 not in table
    for wrong in ("1", 1.0, None, True):
        with pytest.raises(TypeError, match="is no int32"):
            table.get(wrong)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="is no int32"):
            wrong in table  # noqa: B015
    with pytest.raises(ValueError, match="from -2147483648"):
        table.get(2**31)


def test_empty_values_are_values(env: lmdb.Environment) -> None:
    """An empty string is not a missing record."""
    table: Table[str, bytes] = Table(env, "t", key=keys.string, value=values.bytes)
    table["a"] = b""
    assert "a" in table
    assert (table["a"], table.get("a", b"x"), table.setdefault("a", b"y"), table.pop("a")) == (b"",) * 4
    assert table.get("a", b"x") == b"x"


def test_update_takes_what_a_dict_takes(env: lmdb.Environment) -> None:
    """Mappings, objects with keys(), pairs, and keywords: all in one transaction."""

    class Keyed:
        def keys(self) -> list[str]:
            return ["c"]

        def __getitem__(self, key: str) -> int:
            return 3

    table: Table[str, int] = Table(env, "t", key=keys.string, value=values.json)
    table.update({"a": 1}, b=2)
    table.update(Keyed())
    table.update(pair for pair in [("d", 4)])
    table.update(table.items())
    table.update()
    assert table == {"a": 1, "b": 2, "c": 3, "d": 4}
    with pytest.raises(TypeError):
        table.update({"e": 5, 7: 7})
    with pytest.raises(ValueError, match="JSON"):
        table.update({"e": 5}, f=float("nan"))
    assert "e" not in table


def test_put_without_overwriting(table: Table[int, str]) -> None:
    """A record that is there stays, and put says so."""
    assert table.put(1, "eins", overwrite=False) is False
    assert table.put(5, "five", overwrite=False) is True
    assert (table[1], table[5]) == ("one", "five")
    with pytest.raises(ValueError, match="'raise' or 'replace'"):
        table.put(1, "eins", conflict="ignore")  # type: ignore[arg-type]


def test_a_key_that_is_too_long(env: lmdb.Environment) -> None:
    """It is refused with its length and the limit when it is stored, and is just not there when it is looked up."""
    table: Table[str, str] = Table(env, "t", key=keys.string, value=values.string)
    longest = env.max_key_size()
    table["x" * longest] = "fits"
    key = "x" * (longest + 1)
    for store in (table.__setitem__, table.setdefault, lambda key, value: table.update({key: value})):
        with pytest.raises(ValueError, match=f"a key of {longest + 1} bytes is too long: {longest} at most"):
            store(key, "too long")  # type: ignore[no-untyped-call]
    assert key not in table
    assert len(table) == 1


# -- transactions ----------------------------------------------------------------------------------------------------


def test_tables_in_one_transaction(env: lmdb.Environment) -> None:
    """Tables bound to one transaction are committed or aborted together."""
    one: Table[int, str] = Table(env, "one", key=keys.uint8, value=values.string)
    two: Table[int, str] = Table(env, "two", key=keys.uint8, value=values.string)
    with env.begin(write=True) as txn:
        one.within(txn)[1] = "a"
        two.within(txn)[1] = "b"
        assert one == {}
    assert (one, two) == ({1: "a"}, {1: "b"})
    assert one.txn is None

    def fail() -> None:
        with one.begin(write=True) as bound:
            bound[2] = "c"
            assert bound.txn is not None
            two.within(bound.txn)[2] = "d"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (one, two) == ({1: "a"}, {1: "b"})


def test_a_bound_table_ends_with_its_transaction(
    table: Table[int, str], opened: Callable[..., lmdb.Environment]
) -> None:
    """What is bound to a transaction is of no use after it, and belongs to its environment."""
    with table.begin() as bound:
        assert bound[1] == "one"
        with pytest.raises(lmdb.ReadonlyError):
            bound[1] = "eins"
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(bound)
        for change in (
            bound.drop,
            bound.reindex,
            lambda: bound.drop_index("x"),
            lambda: bound.add_index("x", Index("x", keys.string)),
        ):
            with pytest.raises(TableError, match=r"bound to a transaction: \w+\(\) needs one of its own"):
                change()
        assert repr(bound).endswith("bound to a transaction>")
    with pytest.raises(lmdb.Error, match="closed/deleted/dropped"):
        bound[1]
    with opened("other").begin() as txn, pytest.raises(TableError, match="another environment"):
        table.within(txn)


def test_an_iteration_is_one_snapshot(table: Table[int, str]) -> None:
    """An unbound table may be changed while it is iterated over: the iteration does not see that."""
    for key in table:
        del table[key]
    assert len(table) == 0
    table.update({1: "one", 2: "two"})
    items = iter(table.items())
    assert next(items) == (1, "one")
    table[3] = "three"
    assert list(items) == [(2, "two")]


def test_a_bound_iteration_sees_what_is_written(table: Table[int, str]) -> None:
    """Within a write transaction, as a cursor does."""
    with table.begin(write=True) as bound:
        seen = []
        for key, value in bound.items():
            seen.append((key, value))
            if key < 5:
                bound[key + 4] = value
    assert seen == [(-3, "minus three"), (1, "minus three"), (2, "two"), (5, "minus three"), (6, "two")]


# -- ranges ----------------------------------------------------------------------------------------------------------


def test_ranges(table: Table[int, str]) -> None:
    """A query can be iterated again, counted, and asked for a part; nothing is read before."""
    query = table.range(0)
    assert list(query) == list(query) == [(1, "one"), (2, "two")]
    assert list(query.keys()) == [1, 2]
    assert list(query.values()) == list(query.keys().values()) == ["one", "two"]
    assert list(query.values().items()) == list(query)
    table[3] = "three"
    assert len(query) == query.count() == 3
    assert query.first() == (1, "one")
    assert table.range(9).first() is None
    assert not table.range(9)
    assert list(table.range(limit=2, reverse=True).keys()) == [3, 2]
    assert table.range(limit=2).count() == 2
    assert table.range(limit=0).first() is None
    assert list(table.range(1, 2, include_start=False, include_stop=True).keys()) == [2]
    with pytest.raises(ValueError, match="limit=-1"):
        table.range(limit=-1)
    with pytest.raises(TypeError, match="is no int32"):
        table.range("a")
    with pytest.raises(TypeError, match="keys of int32 have none"):
        table.prefix("a")
    assert (table.first(), table.last()) == ((-3, "minus three"), (3, "three"))


def test_prefixes(env: lmdb.Environment) -> None:
    """Of strings, bytes, and the leading parts of tuples, with the beginning of the last."""
    words: Table[str, int] = Table(env, "words", key=keys.string, value=values.json)
    words.update({"ash": 1, "aspen": 2, "birch": 3, "\U0010ffff": 4})
    assert list(words.prefix("as").keys()) == ["ash", "aspen"]
    assert list(words.prefix("as", reverse=True, limit=1).keys()) == ["aspen"]
    assert words.prefix("").count() == 4
    assert list(words.range("", "b").keys()) == ["ash", "aspen"]
    assert list(words.range(None, "").keys()) == []
    raw: Table[bytes, int] = Table(env, "raw", key=keys.bytes, value=values.json)
    raw.update({b"\xff": 1, b"\xff\xff": 2, b"a": 3})
    assert list(raw.prefix(b"\xff").keys()) == [b"\xff", b"\xff\xff"]
    cities: Table[tuple[str, str, int], int] = Table(
        env, "cities", key=keys.tuple_of(keys.string, keys.string, keys.uint8), value=values.json
    )
    cities.update(
        dict.fromkeys(
            [("CH", "Bern", 1), ("DE", "Berlin", 1), ("DE", "Berlin", 2), ("DE", "Bonn", 1), ("DEX", "", 0)], 0
        )
    )
    assert [city for (_, city, _), _ in cities.prefix(("DE",))] == ["Berlin", "Berlin", "Bonn"]
    assert cities.prefix(("DE", "Berlin")).count() == 2
    assert cities.prefix(("DE", "Berlin", 2)).count() == 1
    assert list(cities.range(("DE",), ("DE", "Bonn")).keys()) == [("DE", "Berlin", 1), ("DE", "Berlin", 2)]
    assert cities.range(("DE",), ("DE",), include_stop=True).count() == 3
    assert list(cities.range(("DE",), include_start=False).keys()) == [("DEX", "", 0)]
    with pytest.raises(TypeError, match="is no string"):
        cities.prefix((1,))
    with pytest.raises(TypeError, match="give a tuple of 3"):
        cities.prefix("DE")
    pairs: Table[tuple[int, str], int] = Table(
        env, "pairs", key=keys.tuple_of(keys.uint8, keys.string), value=values.json
    )
    pairs.update({(255, "ash"): 1, (255, "aspen"): 2, (7, "as"): 3})
    assert list(pairs.prefix((255, "as")).keys()) == [(255, "ash"), (255, "aspen")]
    assert pairs.range((255,), include_start=False).count() == 0
    assert pairs.range(None, (255,), include_stop=True).count() == 3


def test_delete_range(table: Table[int, str], env: lmdb.Environment) -> None:
    """Ranges and prefixes go, as many as there are, or as the limit says."""
    assert table.delete_range(stop=2, limit=1) == 1
    assert list(table) == [1, 2]
    assert table.delete_range(1, 2, include_stop=True) == 2
    words: Table[str, int] = Table(env, "words", key=keys.string, value=values.json)
    words.update({f"{number:04}": number for number in range(3000)})
    assert words.delete_range(prefix="1") == 1000
    assert words.range(reverse=True, limit=2).delete() == 2
    assert words.last() == ("2997", 2997)
    assert words.delete_range(prefix="2") == 998
    assert words.delete_range(prefix="0", limit=1) == 1
    with pytest.raises(ValueError, match="a prefix, or start and stop"):
        words.delete_range("a", prefix="b")


# -- keys of fields --------------------------------------------------------------------------------------------------


def test_keys_of_fields(env: lmdb.Environment) -> None:
    """A key that is made of fields is checked by every write, and add() makes it."""
    table: Table[tuple[str, int], Any] = Table(
        env, "t", key=keys.tuple_of(keys.string, keys.uint8), value=values.json, fields=["name", "at.line"]
    )
    value = {"name": "a", "at": {"line": 3}}
    assert table.add(value) == ("a", 3)
    assert Table(env, "t").add(value, overwrite=True) == ("a", 3)
    with pytest.raises(lmdb.KeyExistsError, match=r"has a record \('a', 3\) already"):
        table.add({**value, "more": 1})
    with pytest.raises(ValueError, match=r"made of name, at.line, which gives \('a', 3\), and not \('a', 4\)"):
        table["a", 4] = value
    with pytest.raises(ValueError, match="and not \\('x', 1\\)"):
        table.update({("b", 1): {"name": "b", "at": {"line": 1}}, ("x", 1): value})
    assert list(table) == [("a", 3)]
    for wrong, kind in (({"name": "a"}, ValueError), ({"name": 1, "at": {"line": 1}}, TypeError)):
        with pytest.raises(kind, match=r"the key is made of name, at.line"):
            table.add(wrong)
    table["a", 3] = {**value, "more": 2}
    assert table == {("a", 3): {**value, "more": 2}}
    with env.begin(write=True) as txn:
        txn.put(keys.named("(string, uint8)").encode(("b", 1)), b'{"name":"c","at":{"line":1}}', db=env.open_db(b"t"))
    assert [problem.text for problem in table.check()] == [
        "table 't': the key is made of name, at.line, which gives ('c', 1), and not ('b', 1)"
    ]


def test_numbered_records(env: lmdb.Environment) -> None:
    """Without fields records are numbered from 1, behind the last."""
    table: Table[int, str] = Table(env, "t", key=keys.uint8, value=values.string, fields=[])
    assert [table.add("a"), table.add("b")] == [1, 2]
    del table[1]
    table[254] = "z"
    assert table.add("last") == 255
    with pytest.raises(ValueError, match="256 is no uint8"):
        table.add("too many")
    with table.begin(write=True) as bound:
        bound.clear()
        assert bound.add("c") == 1


def test_add_needs_fields(table: Table[int, str]) -> None:
    """Where keys are given apart, there is nothing to make them of."""
    with pytest.raises(TableError, match="keys are given apart"):
        table.add("seven")


# -- environments ----------------------------------------------------------------------------------------------------


def test_room_for_databases(opened: Callable[..., lmdb.Environment]) -> None:
    """Where max_dbs is too small the error says what is needed."""
    small = opened(max_dbs=2)
    indexes = {"by_a": Index("a", keys.string)}
    with pytest.raises(TableError, match=r"larger max_dbs.*This table needs 3"):
        Table(small, "t", key=keys.uint8, value=values.json, indexes=indexes)
    table: Table[int, Any] = Table(small, "t", key=keys.uint8, value=values.json)
    table[1] = {}
    assert len(Table(small, "t")) == 1


def test_read_only(opened: Callable[..., lmdb.Environment]) -> None:
    """A read-only environment is read, and refuses the rest by what is missing."""
    with opened() as env:
        Table(env, "t", key=keys.uint8, value=values.json, indexes={"by_a": Index("a", keys.string)})[1] = {"a": "x"}
    with opened(readonly=True) as env:
        table: Table[int, Any] = Table(env, "t")
        assert table.by("by_a")["x"].first() == (1, {"a": "x"})
        assert list(table.check()) == []
        with pytest.raises(lmdb.ReadonlyError):
            table[1] = {}
        with pytest.raises(TableError, match="there is no table 'u'"):
            Table(env, "u", key=keys.uint8, value=values.json)
        with pytest.raises(MismatchError, match="has no index by_b, and the environment is read-only"):
            Table(env, "t", indexes={"by_b": Index("b", keys.string)})
    with opened("empty"):
        pass
    with opened("empty", readonly=True) as env, pytest.raises(TableError, match="no catalog of tables"):
        Table(env, "t", key=keys.uint8, value=values.json)


def test_a_dropped_table(table: Table[int, str], env: lmdb.Environment) -> None:
    """Everything of it goes, and what was opened before says so."""
    table.add_index("by_text", Index(str, keys.string))
    again: Table[int, str] = Table(env, "numbers", indexes={"by_text": Index(str, keys.string)})
    table.drop()
    for use in (lambda: again[1], lambda: again.__setitem__(1, "a"), lambda: table[1]):
        with pytest.raises(lmdb.Error, match=r"closed/deleted/dropped|has been dropped"):
            use()
    assert env.dbs() == [b"__tables__"]
    with env.begin(env.open_db(b"__tables__")) as txn:
        assert txn.stat()["entries"] == 0
    with pytest.raises(TableError, match="there is no table 'numbers': give key= and value="):
        Table(env, "numbers")
    new: Table[str, Any] = Table(env, "numbers", key=keys.string, value=values.json)
    new["a"] = 1
    assert new == {"a": 1}


def test_pickle(table: Table[int, str]) -> None:
    """A table pickles as its environment and what it was asked to be."""
    again = pickle.loads(pickle.dumps(table))
    assert again == table
    assert again is not table
    assert again.env is table.env
    again.env.close()


def test_moments_are_keys(env: lmdb.Environment) -> None:
    """Ranges of time, in whatever timezones."""
    table: Table[dt.datetime, int] = Table(env, "t", key=keys.datetime, value=values.json)
    noon = dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone.utc)
    table.update({noon + dt.timedelta(hours=hour): hour for hour in range(-3, 3)})
    east = dt.timezone(dt.timedelta(hours=2))
    assert list(table.range(dt.datetime(2026, 7, 1, 14, tzinfo=east)).values()) == [0, 1, 2]
    assert table[noon.astimezone(east)] == 0
