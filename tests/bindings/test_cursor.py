"""Cursors: where each movement leads, what is read there, and what others' writes do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmdb_bindings as lmdb

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
UNSET = (b"", b"")

PAIRS = [(b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"c", b"1"), (b"c", b"2"), (b"c", b"3")]


@pytest.fixture
def dup(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A write transaction on a dupsort database that holds PAIRS."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        for pair in PAIRS:
            txn.put(*pair)
        yield txn


@pytest.fixture
def plain(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A write transaction on a plain database that holds b"a" to b"e", each with its capital."""
    with env.begin(write=True, db=env.open_db(b"plain")) as txn:
        for key in (b"a", b"b", b"c", b"d", b"e"):
            txn.put(key, key.upper())
        yield txn


def at(txn: lmdb.Transaction, key: bytes, value: bytes = b"") -> lmdb.Cursor:
    """A cursor that is on a record."""
    cursor = txn.cursor()
    assert cursor.set_key_dup(key, value) if value else cursor.set_key(key)
    return cursor


# -- movements -------------------------------------------------------------------------------------------------------

MOVEMENTS = {
    "first": (b"a", b"1"), "last": (b"c", b"3"), "next": (b"c", b"3"), "prev": (b"c", b"1"), "first_dup": (b"c", b"1"),
    "last_dup": (b"c", b"3"), "next_dup": (b"c", b"3"), "prev_dup": (b"c", b"1"), "next_nodup": None,
    "prev_nodup": (b"b", b"1"),
}  # fmt: skip


@pytest.mark.parametrize("movement", MOVEMENTS)
def test_movement(dup: lmdb.Transaction, movement: str) -> None:
    """From the middle value of the last key, each movement leads where it says, or leaves the cursor unset."""
    cursor = at(dup, b"c", b"2")
    found = getattr(cursor, movement)()
    assert found is (MOVEMENTS[movement] is not None)
    assert cursor.item() == (MOVEMENTS[movement] or UNSET)


@pytest.mark.parametrize(
    ("movement", "key", "expected"),
    [
        ("next", b"b", b"c"), ("prev", b"b", b"a"), ("next_nodup", b"b", b"c"), ("prev_nodup", b"b", b"a"),
        ("next", b"e", None), ("prev", b"a", None), ("next_nodup", b"e", None), ("prev_nodup", b"a", None),
    ],
)  # fmt: skip
def test_movement_without_dupsort(plain: lmdb.Transaction, movement: str, key: bytes, expected: bytes | None) -> None:
    """In a plain database every key has one value."""
    cursor = at(plain, key)
    assert getattr(cursor, movement)() is (expected is not None)
    assert cursor.key() == (expected or b"")


@pytest.mark.parametrize("use", [
    lambda cursor: cursor.first_dup(), lambda cursor: cursor.last_dup(), lambda cursor: cursor.count(),
    lambda cursor: cursor.set_key_dup(b"a", b"A"), lambda cursor: cursor.set_range_dup(b"a", b"A"),
])  # fmt: skip
def test_needs_dupsort(plain: lmdb.Transaction, use: Callable[[lmdb.Cursor], object]) -> None:
    """What is about several values is IncompatibleError in a plain database."""
    with pytest.raises(lmdb.IncompatibleError, match="MDB_INCOMPATIBLE: "):
        use(at(plain, b"a"))


@pytest.mark.parametrize(
    ("movement", "expected"),
    [("first", (b"a", b"1")), ("next", (b"a", b"1")), ("next_nodup", (b"a", b"1")), ("next_dup", (b"a", b"1")),
     ("last", (b"c", b"3")), ("prev", (b"c", b"3")), ("prev_nodup", (b"c", b"3"))],
)  # fmt: skip
def test_first_movement(dup: lmdb.Transaction, movement: str, expected: tuple[bytes, bytes]) -> None:
    """A cursor that is unset goes to the end that the movement comes from."""
    cursor = dup.cursor()
    assert cursor.item() == UNSET
    assert getattr(cursor, movement)() is True
    assert cursor.item() == expected


@pytest.mark.parametrize("movement", ["first", "last", "next", "prev", "next_nodup", "prev_nodup"])
def test_nowhere_to_go(env: lmdb.Environment, movement: str) -> None:
    """In an empty database nothing is found, and nothing is wrong."""
    with env.begin() as txn:
        cursor = txn.cursor()
        assert getattr(cursor, movement)() is False
        assert cursor.item() == UNSET
        assert list(cursor) == list(cursor.iterprev()) == []


@pytest.mark.parametrize(
    ("movement", "arguments", "expected"),
    [
        ("set_key", (b"b",), (b"b", b"1")), ("set_key", (b"c",), (b"c", b"1")), ("set_key", (b"bb",), None),
        ("set_key_dup", (b"c", b"2"), (b"c", b"2")), ("set_key_dup", (b"c", b"22"), None),
        ("set_key_dup", (b"bb", b"1"), None), ("set_range", (b"",), (b"a", b"1")), ("set_range", (b"b",), (b"b", b"1")),
        ("set_range", (b"bb",), (b"c", b"1")), ("set_range", (b"d",), None),
        ("set_range_dup", (b"c", b"2"), (b"c", b"2")), ("set_range_dup", (b"c", b"11"), (b"c", b"2")),
        ("set_range_dup", (b"c", b"4"), None), ("set_range_dup", (b"bb", b"1"), None),
    ],
)  # fmt: skip
def test_search(
    dup: lmdb.Transaction, movement: str, arguments: tuple[bytes, ...], expected: tuple[bytes, bytes] | None
) -> None:
    """A search says whether it found, and leaves the cursor unset where it did not."""
    cursor = at(dup, b"a")
    assert getattr(cursor, movement)(*arguments) is (expected is not None)
    assert cursor.item() == (expected or UNSET)


@pytest.mark.parametrize("search", ["set_key", "set_range", "get"])
@pytest.mark.parametrize("step", ["next", "prev", "next_dup", "prev_dup", "next_nodup", "prev_nodup"])
def test_step_after_a_search_in_vain(dup: lmdb.Transaction, search: str, step: str) -> None:
    """In a dupsort database a step from an unset cursor gives a record that is there, never what memory held."""
    cursor = dup.cursor()
    for _ in range(10):
        assert not getattr(cursor, search)(b"zz")
        if getattr(cursor, step)():
            assert cursor.item() in PAIRS
        else:
            assert cursor.item() == UNSET


@pytest.mark.parametrize("movement", ["set_key_dup", "set_range_dup"])
def test_key_is_the_databases(dup: lmdb.Transaction, movement: str) -> None:
    """After a search the cursor reads the record in the database, not the caller's buffers."""
    key, value = bytearray(b"c"), bytearray(b"2")
    cursor = dup.cursor()
    assert getattr(cursor, movement)(key, value)
    key[:], value[:] = b"x", b"y"
    assert cursor.item() == (b"c", b"2")


@pytest.mark.parametrize(
    "use",
    [
        lambda cursor, key: cursor.set_key_dup(key, "text"),
        lambda cursor, key: cursor.set_range_dup(key, None),
        lambda cursor, key: cursor.put(key, "text"),
        lambda cursor, key: cursor.put("text", key),
    ],
)
def test_type_error_moves_nothing(dup: lmdb.Transaction, use: Callable[[lmdb.Cursor, Any], object]) -> None:
    """A TypeError leaves the cursor where it was."""
    cursor, buffer = at(dup, b"c", b"2"), bytearray(b"other")
    with pytest.raises(TypeError):
        use(cursor, buffer)
    buffer[:] = b"wrong"
    assert cursor.item() == (b"c", b"2")


# -- iterators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("iterator", "expected"),
    [
        ("__iter__", PAIRS), ("iternext", PAIRS), ("iterprev", PAIRS[::-1]), ("iternext_nodup", [b"a", b"b", b"c"]),
        ("iterprev_nodup", [b"c", b"b", b"a"]), ("iternext_dup", []), ("iterprev_dup", []),
    ],
)  # fmt: skip
def test_iterator_from_the_end(dup: lmdb.Transaction, iterator: str, expected: list[Any]) -> None:
    """Where the cursor is unset an iterator begins at the end that it comes from, and one over values has none."""
    assert list(getattr(dup.cursor(), iterator)()) == expected


@pytest.mark.parametrize(
    ("iterator", "expected"),
    [
        ("__iter__", PAIRS[4:]), ("iternext", PAIRS[4:]), ("iterprev", PAIRS[4::-1]), ("iternext_nodup", [b"c"]),
        ("iterprev_nodup", [b"c", b"b", b"a"]), ("iternext_dup", [b"2", b"3"]), ("iterprev_dup", [b"2", b"1"]),
    ],
)  # fmt: skip
def test_iterator_from_a_position(dup: lmdb.Transaction, iterator: str, expected: list[Any]) -> None:
    """An iterator begins with the record that the cursor is on."""
    assert list(getattr(at(dup, b"c", b"2"), iterator)()) == expected


@pytest.mark.parametrize("iterator", [
    "iternext", "iterprev", "iternext_nodup", "iterprev_nodup", "iternext_dup", "iterprev_dup",
])  # fmt: skip
@pytest.mark.parametrize(
    ("keys", "values", "expected"),
    [(True, True, (b"c", b"2")), (True, False, b"c"), (False, True, b"2"), (False, False, b"c")],
)
def test_what_is_iterated(dup: lmdb.Transaction, iterator: str, keys: bool, values: bool, expected: Any) -> None:
    """Iterators give keys, values or pairs."""
    assert next(getattr(at(dup, b"c", b"2"), iterator)(keys=keys, values=values)) == expected
    assert next(getattr(at(dup, b"c", b"2"), iterator)(keys, values)) == expected


def test_iterator_moves_the_cursor(plain: lmdb.Transaction) -> None:
    """The cursor is on what its iterator gave last, moves it by moving itself, and is unset after its end."""
    cursor = plain.cursor()
    iterator = iter(cursor)
    assert next(iterator) == cursor.item() == (b"a", b"A")
    assert cursor.set_key(b"c")
    assert next(iterator) == (b"d", b"D")
    assert list(iterator) == [(b"e", b"E")]
    assert cursor.item() == UNSET
    assert next(iterator, None) is None
    assert len(list(cursor)) == 5


def test_iterator_of_what_is_gone(plain: lmdb.Transaction) -> None:
    """An iterator never gives an empty record: where the cursor's is gone, it begins with what is left."""
    cursor = at(plain, b"e")
    plain.delete(b"e")
    assert list(cursor.iterprev(values=False)) == [b"d", b"c", b"b", b"a"]
    cursor = at(plain, b"d")
    iterator = iter(cursor)
    plain.drop(cursor.db, delete=False)
    assert list(iterator) == []


@pytest.mark.parametrize("dupsort", [False, True])
@pytest.mark.parametrize("count", [1, 10, 3000])
@pytest.mark.parametrize("way", ["delete by the transaction", "delete by the cursor, backwards"])
def test_deleting_while_iterating(env: lmdb.Environment, dupsort: bool, count: int, way: str) -> None:
    """A loop that deletes each record that it is given sees each once, and leaves none."""
    database = env.open_db(b"db", dupsort=dupsort)
    pairs = [(b"key" if dupsort else b"%05d" % number, b"%05d" % number) for number in range(count)]
    with env.begin(write=True, db=database) as txn:
        for pair in pairs:
            txn.put(*pair)
        cursor = txn.cursor()
        backwards = way.endswith("backwards")
        seen = []
        for key, value in cursor.iterprev() if backwards else cursor:
            seen.append((key, value))
            assert cursor.delete() if backwards else txn.delete(key, value)
        assert sorted(seen) == pairs
        assert txn.stat()["entries"] == 0


@pytest.mark.parametrize("dupsort", [False, True])
def test_deleting_forwards(env: lmdb.Environment, dupsort: bool) -> None:
    """delete() moves on by itself: alone it empties the database, and within a loop the loop skips what it moved to."""
    database = env.open_db(b"db", dupsort=dupsort)
    pairs = [(b"key" if dupsort else b"%05d" % number, b"%05d" % number) for number in range(1000)]
    with env.begin(write=True, db=database) as txn:
        for pair in pairs:
            txn.put(*pair)
        cursor = txn.cursor()
        seen = []
        for pair in cursor:
            seen.append(pair)
            cursor.delete()
        assert seen == pairs[::2]
        assert list(txn.cursor()) == pairs[1::2]
        assert cursor.first()
        assert sum(iter(cursor.delete, False)) == 500
        assert txn.stat()["entries"] == 0


def test_putting_while_iterating(plain: lmdb.Transaction) -> None:
    """A loop sees what is put before it in the order of keys, and not what is put behind."""
    seen = []
    for key in plain.cursor().iternext(values=False):
        seen.append(key)
        if len(key) == 1:
            plain.put(key + b"+", b"")
            plain.put(b"0" + key, b"")
    assert seen == [b"a", b"a+", b"b", b"b+", b"c", b"c+", b"d", b"d+", b"e", b"e+"]


# -- after writes ----------------------------------------------------------------------------------------------------


def test_reads_what_is_there_now(plain: lmdb.Transaction) -> None:
    """A cursor reads its record anew after each write, of whichever hand, wherever its page has gone."""
    cursors = [at(plain, key) for key in (b"a", b"c", b"e")]
    for number in range(3000):
        plain.put(b"b%04d" % number, b"x" * 50)
    plain.put(b"a", b"changed")
    at(plain, b"e").put(b"e", b"new" * 500)
    assert [cursor.item() for cursor in cursors] == [(b"a", b"changed"), (b"c", b"C"), (b"e", b"new" * 500)]
    plain.delete(b"c")
    assert cursors[1].item() == (b"d", b"D")


@pytest.mark.parametrize("movement", ["first_dup", "last_dup"])
def test_key_after_a_write(dup: lmdb.Transaction, movement: str) -> None:
    """first_dup() and last_dup() read the key too, which a write may have moved."""
    cursor = at(dup, b"c", b"2")
    for number in range(2000):
        dup.put(b"b%04d" % number, b"x" * 50)
    assert getattr(cursor, movement)()
    assert cursor.key() == b"c"


@pytest.mark.parametrize(("before", "after"), [(2, 1), (2000, 1), (2, 2000), (2000, 2)])
@pytest.mark.parametrize("dupfixed", [False, True])
def test_count_after_others_writes(env: lmdb.Environment, before: int, after: int, dupfixed: bool) -> None:
    """count() counts what is there, and delete() deletes its one value, though others have written values of the key.

    LMDB alone deletes by what the cursor remembers, and with the wrong number of values loses others with it.
    """
    database = env.open_db(b"db", dupsort=True, dupfixed=dupfixed)
    values = [b"%05d" % number for number in range(max(before, after))]
    with env.begin(write=True, db=database) as txn:
        txn.put(b"next", b"value")
        for value in values[:before]:
            txn.put(b"key", value)
        cursor, other = at(txn, b"key"), at(txn, b"key")
        for value in values[before:after]:
            txn.put(b"key", value)
        for value in values[after:before]:
            txn.delete(b"key", value)
        assert cursor.item() == other.item() == (b"key", b"00000")
        assert cursor.count() == other.count() == after
        assert cursor.delete()
        expected = [*((b"key", value) for value in values[1:after]), (b"next", b"value")]
        assert cursor.item() == other.item() == expected[0]
        assert list(txn.cursor()) == expected
        assert txn.stat()["entries"] == len(expected)
        assert other.delete()
        assert list(txn.cursor()) == expected[1:]


def test_delete_says_what_it_did(dup: lmdb.Transaction) -> None:
    """delete() deletes one value or, with dupdata, all of the key, moves on, and is False where the cursor is unset."""
    cursor = at(dup, b"a", b"1")
    assert cursor.delete()
    assert cursor.item() == (b"a", b"2")
    assert at(dup, b"c", b"2").delete(dupdata=True)
    assert list(dup.cursor()) == [(b"a", b"2"), (b"b", b"1")]
    assert cursor.delete()
    assert cursor.item() == (b"b", b"1")
    assert cursor.delete()
    assert cursor.item() == UNSET
    assert cursor.delete() is False
    assert dup.cursor().delete() is False
    assert list(dup.cursor()) == []


def test_put_moves(dup: lmdb.Transaction) -> None:
    """put() leaves the cursor on what it stored, and where it stored nothing, on a record that is there."""
    cursor = dup.cursor()
    assert cursor.put(b"b", b"2")
    assert cursor.item() == (b"b", b"2")
    assert cursor.delete()
    assert cursor.put(b"a", b"0")
    assert cursor.item() == (b"a", b"0")
    key, value = bytearray(b"c"), bytearray(b"4")
    assert cursor.put(key, value, overwrite=False) is False
    key[:], value[:] = b"x", b"y"
    assert cursor.item() in [UNSET, (b"a", b"0"), *PAIRS]


def test_put_refused(env: lmdb.Environment) -> None:
    """A read transaction's cursor does not write, and stays where it is."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with env.begin() as txn:
        cursor = at(txn, b"key")
        buffer = bytearray(b"other")
        with pytest.raises(lmdb.ReadonlyError, match=r"^mdb_cursor_put: "):
            cursor.put(buffer, buffer)
        buffer[:] = b"wrong"
        assert cursor.item() == (b"key", b"value")
        with pytest.raises(lmdb.ReadonlyError, match=r"^mdb_cursor_del: "):
            cursor.delete()


def test_get(dup: lmdb.Transaction) -> None:
    """get() moves to the first value of a key, and gives it; else the cursor is unset."""
    cursor = dup.cursor()
    assert cursor.get(b"c") == b"1"
    assert cursor.next_dup()
    assert cursor.item() == (b"c", b"2")
    assert cursor.get(b"none", 7) == 7
    assert cursor.item() == UNSET


def test_count_of_nothing(dup: lmdb.Transaction) -> None:
    """An unset cursor has no key to count the values of."""
    with pytest.raises(lmdb.InvalidParameterError, match=r"^mdb_cursor_count: Invalid argument$"):
        dup.cursor().count()


def test_block(dup: lmdb.Transaction) -> None:
    """A block closes the cursor, also when an exception leaves it, and the transaction goes on."""
    with pytest.raises(ZeroDivisionError), dup.cursor() as cursor:
        raise ZeroDivisionError
    with pytest.raises(lmdb.Error, match=GONE):
        cursor.first()
    cursor.close()
    assert dup.get(b"a") == b"1"
