"""Many records at once: looked up, stored and deleted, and what of it is done where something goes wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmdb_bindings as lmdb

pytestmark = pytest.mark.usefixtures("path")

Open = Callable[..., lmdb.Environment]
Pair = tuple[bytes, bytes]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
BAD_SIZE = r"MDB_BAD_VALSIZE: Unsupported size of key/DB name/data, or wrong DUPFIXED size$"
NO_PAIR = r"^putmulti\(\) elements must be 2-tuples$"

# On either side of where a batch of 1,000 ends.
PLACES = [0, 1, 999, 1000, 1001, 2500]


def number(place: int) -> bytes:
    return place.to_bytes(4, "big")


def numbered(count: int) -> list[Pair]:
    return [(number(place), b"%d" % place) for place in range(count)]


@pytest.fixture(params=[False, True], ids=["bytes", "views"])
def txn(env: lmdb.Environment, request: pytest.FixtureRequest) -> Iterator[lmdb.Transaction]:
    """A write transaction on an empty database."""
    with env.begin(write=True, buffers=request.param) as txn:
        yield txn


@pytest.fixture
def dup(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A write transaction on keys b"a" to b"c" with the values 1 to 3 each."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        txn.putmany([(bytes([key]), b"%d" % value) for key in b"abc" for value in (1, 2, 3)])
        yield txn


# -- getmany -----------------------------------------------------------------------------------------------------------


def test_getmany(txn: lmdb.Transaction) -> None:
    """Values come in the order of the keys, repeated ones too, with the default for a missing key."""
    txn.putmany([(b"a", b"1"), (b"b", b""), (b"c", b"3")])
    assert txn.getmany([b"c", b"x", b"a", b"b", b"a"]) == [b"3", None, b"1", b"", b"1"]
    assert txn.getmany([b"x", b"a"], b"default") == [b"default", b"1"]
    assert txn.getmany(iter([b"x", b"b"]), default=0) == [0, b""]
    assert txn.getmany([]) == []
    assert txn.getmany(key for key in (b"a", b"c")) == [b"1", b"3"]
    assert txn.getmany((b"a", b"c")) == [b"1", b"3"]
    assert txn.getmany({b"a": 1}) == [b"1"]


def test_getmany_of_many(txn: lmdb.Transaction) -> None:
    """As many keys as fill the room of a batch many times over are looked up, the missing ones too."""
    txn.putmany((number(place), number(place) * 50) for place in range(0, 20_000, 2))
    wanted = [number(place) for place in range(20_000)]
    assert txn.getmany(wanted) == [None if place % 2 else number(place) * 50 for place in range(20_000)]


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(b"x" + data)[1:]],
                         ids=["bytearray", "memoryview", "slice"])  # fmt: skip
def test_getmany_of_buffers(txn: lmdb.Transaction, kind: Callable[[bytes], Any]) -> None:
    """Keys may be any contiguous buffer, mixed with bytes."""
    txn.putmany([(b"a", b"1"), (b"b", b"2")])
    assert txn.getmany([kind(b"a"), b"b", kind(b"x"), kind(b"b")]) == [b"1", b"2", None, b"2"]
    assert txn.cursor().getmulti([b"a", kind(b"b")]) == [(b"a", b"1"), (b"b", b"2")]


def test_getmany_of_a_class_of_bytes(txn: lmdb.Transaction) -> None:
    """A subclass of bytes is a key like others."""
    key = type("Key", (bytes,), {})(b"a")
    txn.putmany([(key, key), (b"b", key)])
    assert txn.getmany([key, b"b"]) == [b"a", b"a"]


@pytest.mark.parametrize("place", PLACES)
def test_getmany_with_a_bad_key(txn: lmdb.Transaction, place: int) -> None:
    """The error of an empty key says which, and the transaction goes on."""
    txn.putmany(numbered(3000))
    keys = [number(other) for other in range(3000)]
    keys[place] = b""
    with pytest.raises(lmdb.BadValsizeError, match=BAD_SIZE) as caught:
        txn.getmany(keys)
    assert caught.value.record == place
    assert txn.getmany(keys[:place]) == [b"%d" % other for other in range(place)]


@pytest.mark.parametrize("wrong", [None, 1, "a"], ids=str)
def test_getmany_of_a_wrong_type(txn: lmdb.Transaction, wrong: Any) -> None:
    """A key that is no buffer is a TypeError."""
    with pytest.raises(TypeError):
        txn.getmany([b"a", wrong])
    with pytest.raises(TypeError):
        txn.cursor().getmulti([b"a", wrong])


def test_getmany_of_dupsort(dup: lmdb.Transaction) -> None:
    """Of a key with several values the first comes."""
    assert dup.getmany([b"b", b"x", b"a"]) == [b"1", None, b"1"]


def test_getmany_of_a_named_database(env: lmdb.Environment, txn: lmdb.Transaction) -> None:
    """``db`` says which database."""
    database = env.open_db(b"db", txn)
    assert txn.putmany([(b"a", b"1")], db=database) == 1
    assert txn.getmany([b"a"], db=database) == [b"1"]
    assert txn.getmany([b"a"]) == [None]


def test_getmany_of_integers(env: lmdb.Environment) -> None:
    """Keys of an integerkey database have 4 or 8 bytes; another is refused by its number before anything is done."""
    with env.begin(write=True, db=env.open_db(b"db", integerkey=True)) as txn:
        eight = [place.to_bytes(8, "little") for place in (3, 256, 1)]
        assert txn.putmany([(key, b"v") for key in eight]) == 3
        assert txn.getmany([*eight, bytes(8)]) == [b"v", b"v", b"v", None]
        for use in (lambda: txn.getmany([eight[0], b"123"]), lambda: txn.putmany([(bytes(8), b""), (b"123", b"")]),
                    lambda: txn.cursor().getmulti([eight[0], b""])):  # fmt: skip
            with pytest.raises(
                lmdb.BadValsizeError, match=r"^a key of an integerkey database has 4 or 8 bytes"
            ) as caught:
                use()
            assert caught.value.record == 1
        assert txn.get(bytes(8)) is None


@pytest.mark.parametrize("buffers", [False, True], ids=["bytes", "views"])
def test_kind_of_what_is_given(env: lmdb.Environment, buffers: bool) -> None:
    """Without ``buffers`` all is bytes, with it read-only memoryviews."""
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    with env.begin(buffers=buffers) as txn:
        [value] = txn.getmany([b"a"])
        [(key, other)] = txn.cursor().getmulti([bytearray(b"a")])
        for given in (value, key, other):
            assert type(given) is (memoryview if buffers else bytes)
            assert not isinstance(given, memoryview) or given.readonly


def test_iterables_that_use_the_transaction(txn: lmdb.Transaction) -> None:
    """Keys and items may come from generators that read and write in the same transaction."""

    def keys() -> Iterator[bytes]:
        for place in range(2500):
            txn.put(number(place), b"%d" % place)
            yield number(place)

    assert txn.getmany(keys()) == [b"%d" % place for place in range(2500)]

    def items() -> Iterator[Pair]:
        for key, value in txn.cursor():
            assert txn.get(key) == value
            yield bytes(key) + b"'", bytes(value)

    # It sees what is stored between batches, behind its place as before it: each key gets its successor.
    assert txn.putmany(item for item, _ in zip(items(), range(1500), strict=False)) == 1500
    assert txn.stat()["entries"] >= 2500 + 1000


# -- putmany -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2000, 3500])
def test_putmany(txn: lmdb.Transaction, count: int) -> None:
    """All are stored, whatever number of batches they make, and counted."""
    assert txn.putmany(iter(numbered(count))) == count
    assert list(txn.scan()) == numbered(count)


def test_putmany_of_what_is_there(txn: lmdb.Transaction) -> None:
    """Without ``overwrite`` what is there stays, and is not counted."""
    txn.putmany([(b"a", b"old"), (b"c", b"old")])
    items = [(key, b"new") for key in (b"a", b"b", b"b", b"c")]
    assert txn.putmany(items, overwrite=False) == 1
    assert list(txn.scan()) == [(b"a", b"old"), (b"b", b"new"), (b"c", b"old")]
    assert txn.putmany(items) == 4
    assert txn.getmany([b"a", b"b", b"c"]) == [b"new"] * 3


def test_putmany_of_values_that_are_there(dup: lmdb.Transaction) -> None:
    """Without ``dupdata`` a pair that is there is not counted; without ``overwrite`` a key that is there."""
    assert dup.putmany([(b"a", b"1"), (b"a", b"4"), (b"a", b"4")], dupdata=False) == 1
    assert dup.putmany([(b"a", b"1"), (b"a", b"5")]) == 2
    assert dup.putmany([(b"a", b"6"), (b"d", b"1"), (b"d", b"2")], overwrite=False) == 1
    assert list(dup.scan(keys=False, prefix=b"a")) == [b"1", b"2", b"3", b"4", b"5"]
    assert list(dup.scan(prefix=b"d")) == [(b"d", b"1")]


@pytest.mark.parametrize("place", PLACES[1:])
def test_append_out_of_order(txn: lmdb.Transaction, place: int) -> None:
    """With ``append`` a record that is not in order is an error with its number; those before it are stored."""
    items = numbered(3000)
    items[place] = items[place - 1]
    with pytest.raises(lmdb.KeyExistsError, match=r"^mdb_cursor_put: MDB_KEYEXIST: ") as caught:
        txn.putmany(items, append=True)
    assert caught.value.record == place
    assert list(txn.scan()) == items[:place]
    assert txn.putmany(items[place + 1 :], append=True) == 3000 - place - 1
    assert txn.stat()["entries"] == 2999


def test_append_of_values_out_of_order(dup: lmdb.Transaction) -> None:
    """In a dupsort database it is the values of a key that must be in order, not the keys."""
    assert dup.putmany([(b"b", b"4"), (b"a", b"4"), (b"b", b"5")], append=True) == 3
    with pytest.raises(lmdb.KeyExistsError, match="MDB_KEYEXIST") as caught:
        dup.putmany([(b"b", b"6"), (b"a", b"3"), (b"a", b"5")], append=True)
    assert caught.value.record == 1
    assert list(dup.scan(keys=False, prefix=b"b")) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert list(dup.scan(keys=False, prefix=b"a")) == [b"1", b"2", b"3", b"4"]


def test_append_of_what_is_there(txn: lmdb.Transaction) -> None:
    """With ``append`` and without ``overwrite``, a key that is there is left out, and one out of order an error."""
    txn.putmany([(b"b", b"old"), (b"d", b"old")])
    assert txn.putmany([(b"b", b"new"), (b"d", b"new"), (b"e", b"new")], overwrite=False, append=True) == 1
    with pytest.raises(lmdb.KeyExistsError, match="MDB_KEYEXIST") as caught:
        txn.putmany([(b"b", b"new"), (b"c", b"new")], overwrite=False, append=True)
    assert caught.value.record == 1
    assert list(txn.scan()) == [(b"b", b"old"), (b"d", b"old"), (b"e", b"new")]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", [(b"", b"value"), (b"x" * 3000, b"value")], ids=["empty", "long"])
def test_putmany_with_a_bad_key(txn: lmdb.Transaction, place: int, bad: Pair) -> None:
    """The error says which record; those before it are stored, and the transaction goes on."""
    items = numbered(3000)
    items[place] = bad
    with pytest.raises(lmdb.BadValsizeError, match=BAD_SIZE) as caught:
        txn.putmany(items)
    assert caught.value.record == place
    assert list(txn.scan()) == items[:place]
    assert txn.putmany(items[place + 1 :]) == 3000 - place - 1


def test_putmany_with_a_long_value(dup: lmdb.Transaction) -> None:
    """A value that is too long for a dupsort database is an error with its number."""
    with pytest.raises(lmdb.BadValsizeError, match=BAD_SIZE) as caught:
        dup.putmany([(b"d", b"1"), (b"d", b"x" * 3000), (b"d", b"2")])
    assert caught.value.record == 1
    assert list(dup.scan(keys=False, prefix=b"d")) == [b"1"]


@pytest.mark.parametrize("size", [8000, 100], ids=["in the first batch", "in a later one"])
def test_putmany_with_a_full_map(opened: Open, size: int) -> None:
    """Where the map is full, the error says at which record; nothing of it is left after the abort, and the next
    transaction has room again.
    """
    env = opened(map_size=1 << 19)
    items = [(number(place), bytes(size)) for place in range(20_000)]
    with env.begin(write=True) as txn:
        with pytest.raises(lmdb.MapFullError, match=r"^mdb_cursor_put: MDB_MAP_FULL: ") as caught:
            txn.putmany(items)
        record = caught.value.record
        assert record is not None
        assert (record < 1000) is (size == 8000)
        with pytest.raises(lmdb.BadTxnError, match="MDB_BAD_TXN"):
            txn.putmany(items[:1])
        with pytest.raises(lmdb.BadTxnError, match="MDB_BAD_TXN"):
            txn.getmany([number(0)])
        txn.abort()
    with env.begin(write=True) as txn:
        assert txn.stat()["entries"] == 0
        assert txn.putmany(items[: record // 2]) == record // 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", [b"ab", [b"k", b"v"], (b"k",), (b"k", b"v", b"w"), None, 5],
                         ids=["bytes", "list", "single", "triple", "None", "int"])  # fmt: skip
def test_putmany_of_no_pair(txn: lmdb.Transaction, place: int, bad: Any) -> None:
    """Whatever is not an exact pair is a TypeError; those before it are stored."""
    items: list[Any] = numbered(3000)
    items[place] = bad
    with pytest.raises(TypeError, match=NO_PAIR):
        txn.putmany(items)
    assert list(txn.scan()) == items[:place]


def test_putmany_of_a_class_of_tuples(txn: lmdb.Transaction) -> None:
    """A subclass of tuple is no exact pair."""
    pair = type("Record", (tuple,), {})((b"k", b"v"))
    with pytest.raises(TypeError, match=NO_PAIR):
        txn.putmany([(b"a", b"1"), pair])
    assert list(txn.scan()) == [(b"a", b"1")]


@pytest.mark.parametrize("place", [0, 1, 1000, 1500])
@pytest.mark.parametrize("bad", [(None, b"v"), (b"k", None), ("k", b"v"), (b"k", "v"), (1, 2)], ids=str)
def test_putmany_of_no_bytes(txn: lmdb.Transaction, place: int, bad: Any) -> None:
    """A key or value that is no buffer is a TypeError; those before it are stored, and nothing of it."""
    items: list[Any] = numbered(2000)
    items[place] = bad
    with pytest.raises(TypeError):
        txn.putmany(items)
    assert list(txn.scan()) == items[:place]


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(b"x" + data)[1:]],
                         ids=["bytearray", "memoryview", "slice"])  # fmt: skip
def test_putmany_of_buffers(txn: lmdb.Transaction, kind: Callable[[bytes], Any]) -> None:
    """Keys and values may be any contiguous buffer, mixed with bytes."""
    assert txn.putmany([(kind(b"a"), b"1"), (b"b", kind(b"2")), (kind(b"c"), kind(b"")), (b"d", b"4")]) == 4
    assert list(txn.scan()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b""), (b"d", b"4")]


def test_putmany_of_a_strided_buffer(txn: lmdb.Transaction) -> None:
    """A buffer with gaps is refused; those before it are stored."""
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        txn.putmany([(b"a", b"1"), (memoryview(b"abcdef")[::2], b"2")])
    assert list(txn.scan()) == [(b"a", b"1")]


@pytest.mark.parametrize("place", [0, 5, 1000, 1005])
def test_putmany_from_a_generator_that_raises(txn: lmdb.Transaction, place: int) -> None:
    """What a generator raises comes out when the items before it are stored, and the transaction goes on."""

    def items() -> Iterator[Pair]:
        yield from numbered(place)
        raise OSError(errno.EIO, "the source has failed")

    with pytest.raises(OSError, match="the source has failed"):
        txn.putmany(items())
    assert list(txn.scan()) == numbered(place)
    assert txn.put(b"more", b"")


def test_putmany_from_a_generator_that_writes(txn: lmdb.Transaction) -> None:
    """Items may come from a generator that writes in the same transaction."""

    def items() -> Iterator[Pair]:
        for place in range(2500):
            assert txn.put(b"by hand" + number(place), b"")
            yield number(place), b""
        assert txn.delete(number(0))

    assert txn.putmany(items()) == 2500
    assert txn.count_range(prefix=b"by hand") == 2500
    assert txn.stat()["entries"] == 4999


def test_putmany_from_a_scan(env: lmdb.Environment, txn: lmdb.Transaction) -> None:
    """A scan of one database may fill another in the same transaction."""
    database = env.open_db(b"copy", txn)
    txn.putmany(numbered(3000))
    assert txn.putmany(txn.scan(start=number(0), stop=b"copy"), append=True, db=database) == 3000
    assert list(txn.scan(database)) == numbered(3000)


def test_putmany_from_a_generator_that_ends_the_transaction(env: lmdb.Environment) -> None:
    """A transaction that ends meanwhile raises for the batch that is being taken then; those before it are stored."""
    txn = env.begin(write=True)

    def items() -> Iterator[Pair]:
        yield from numbered(1500)
        txn.commit()
        yield b"late", b""

    with pytest.raises(lmdb.Error, match=GONE):
        txn.putmany(items())
    with env.begin() as reader:
        stored = list(reader.scan())
    assert 0 < len(stored) < 1500
    assert stored == numbered(len(stored))


def test_putmany_of_no_iterable(txn: lmdb.Transaction) -> None:
    """What cannot be iterated is a TypeError."""
    uses: list[Callable[[Any], object]] = [txn.putmany, txn.getmany, txn.cursor().putmulti, txn.cursor().getmulti]
    for use in uses:
        with pytest.raises(TypeError, match="not iterable"):
            use(5)


def test_record_of_other_errors(txn: lmdb.Transaction) -> None:
    """An error of a single record has no number."""
    with pytest.raises(lmdb.BadValsizeError, match=BAD_SIZE) as caught:
        txn.put(b"", b"")
    assert caught.value.record is None


def test_read_transaction(env: lmdb.Environment) -> None:
    """In a read transaction whatever writes is refused."""
    with env.begin(write=True) as txn:
        txn.put(b"a", b"")
    with env.begin() as txn:
        for use in (
            lambda: txn.putmany([(b"a", b"")]), lambda: txn.cursor().putmulti([(b"a", b"")]),
            txn.delete_range,
        ):  # fmt: skip
            with pytest.raises(lmdb.ReadonlyError, match=r"Permission denied|MDB_IS_READONLY"):
                use()
        assert list(txn.scan()) == [(b"a", b"")]


def test_ended_transaction(env: lmdb.Environment) -> None:
    """Nothing can be done in a transaction that has ended."""
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
    for use in (
        lambda: txn.putmany([(b"a", b"")]), lambda: txn.getmany([b"a"]), lambda: txn.getmany([]), txn.count_range,
        txn.delete_range, lambda: cursor.getmulti([b"a"]), lambda: cursor.putmulti([(b"a", b"")]),
        lambda: cursor.putmulti([]),
    ):  # fmt: skip
        with pytest.raises(lmdb.Error, match=GONE):
            use()


def test_in_a_nested_transaction(env: lmdb.Environment, txn: lmdb.Transaction) -> None:
    """What a nested transaction stores and deletes is its parent's when it commits, and nobody's when it aborts."""
    txn.putmany(numbered(3))
    with env.begin(write=True, parent=txn) as child:
        assert child.getmany([number(0)]) == [b"0"]
        assert child.delete_range(stop=number(2)) == 2
        assert child.putmany([(b"x", b"1")]) == 1
    with env.begin(write=True, parent=txn) as child:
        assert child.delete_range() == 2
        child.abort()
    assert list(txn.scan()) == [(number(2), b"2"), (b"x", b"1")]


# -- getmulti, putmulti --------------------------------------------------------------------------------------------------


def test_getmulti(dup: lmdb.Transaction) -> None:
    """Missing keys are left out; every value comes with ``dupdata`` alone."""
    cursor = dup.cursor()
    assert cursor.getmulti([b"c", b"x", b"a"]) == [(b"c", b"1"), (b"a", b"1")]
    assert cursor.getmulti([b"c", b"x", b"a"], dupdata=True) == [
        (key, value) for key in (b"c", b"a") for value in (b"1", b"2", b"3")
    ]
    assert cursor.getmulti([b"c", b"x", b"c"], values=False) == [b"c", b"c"]
    assert cursor.getmulti([]) == []


def test_getmulti_of_many_values(env: lmdb.Environment) -> None:
    """The values of a key come whole where they fill the room of many batches."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True, dupfixed=True)) as txn:
        expected = [(key, number(place) * 20) for key in (b"a", b"b") for place in range(5000)]
        txn.putmany(expected)
        cursor = txn.cursor()
        assert cursor.getmulti([b"a", b"b"], dupdata=True) == expected
        assert cursor.getmulti([b"a", b"b"], dupdata=True, dupfixed_bytes=80) == expected
        flat = cursor.getmulti([b"a", b"x", b"b"], dupdata=True, dupfixed_bytes=80, keyfixed=True)
        assert bytes(flat) == b"".join(key + value for key, value in expected)


def test_getmulti_leaves_the_cursor_at_the_last_key(dup: lmdb.Transaction) -> None:
    """The cursor is on the key asked for last, or unset."""
    cursor = dup.cursor()
    cursor.getmulti([b"b", b"a"], dupdata=True)
    assert cursor.item() == (b"a", b"1")
    cursor.getmulti([b"b", b"x"])
    assert cursor.item() == (b"", b"")


@pytest.mark.parametrize(("options", "problem", "message"), [
    ({"dupfixed_bytes": 4}, TypeError, r"^dupdata is required for dupfixed_bytes/keyfixed\.$"),
    ({"keyfixed": True}, TypeError, r"^dupdata is required for dupfixed_bytes/keyfixed\.$"),
    ({"dupdata": True, "keyfixed": True}, TypeError, r"^dupfixed_bytes is required for keyfixed\.$"),
    ({"dupdata": True, "values": False}, TypeError, r"^values=False is incompatible with dupdata\.$"),
    ({"dupdata": True, "dupfixed_bytes": -1}, OverflowError, r"^Integer argument must be >= 0$"),
    ({"dupdata": True, "dupfixed_bytes": 1}, lmdb.IncompatibleError, "MDB_INCOMPATIBLE"),
])  # fmt: skip
def test_getmulti_options_that_do_not_fit(
    dup: lmdb.Transaction, options: dict[str, Any], problem: type[Exception], message: str
) -> None:
    """Options that contradict each other, or the database, are refused."""
    with pytest.raises(problem, match=message):
        dup.cursor().getmulti([b"a"], **options)


def test_getmulti_of_other_sizes(env: lmdb.Environment) -> None:
    """Keys or values of another size than is promised are refused."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True, dupfixed=True)) as txn:
        txn.putmany([(b"a", b"1234"), (b"bb", b"1234")])
        with pytest.raises(ValueError, match=r"^dupfixed_bytes=3, but values have 4 bytes$"):
            txn.cursor().getmulti([b"a"], dupdata=True, dupfixed_bytes=3)
        with pytest.raises(ValueError, match=r"^keyfixed=True requires all keys to be the same size$"):
            txn.cursor().getmulti([b"a", b"bb"], dupdata=True, dupfixed_bytes=4, keyfixed=True)


@pytest.mark.parametrize("count", [1, 1000, 1001])
def test_putmulti(txn: lmdb.Transaction, count: int) -> None:
    """All are taken and stored, and the cursor is on the last."""
    cursor = txn.cursor()
    assert cursor.putmulti(reversed(numbered(count))) == (count, count)
    assert cursor.item() == (number(0), b"0")
    assert cursor.putmulti(numbered(count), overwrite=False) == (count, 0)
    assert cursor.key() == number(count - 1)


def test_putmulti_of_nothing(txn: lmdb.Transaction) -> None:
    """Of no items the cursor stays."""
    cursor = txn.cursor()
    cursor.put(b"a", b"1")
    assert cursor.putmulti([]) == (0, 0)
    assert cursor.item() == (b"a", b"1")


@pytest.mark.parametrize("place", PLACES[1:])
def test_putmulti_out_of_order(txn: lmdb.Transaction, place: int) -> None:
    """With ``append`` the records that are not in order are left out, wherever they stand in a batch."""
    items = numbered(3000)
    items[place] = (number(0), b"out of order")
    assert txn.cursor().putmulti(items, append=True) == (3000, 2999)
    assert list(txn.scan()) == [item for item in items if item[1] != b"out of order"]


def test_putmulti_wholly_out_of_order(txn: lmdb.Transaction) -> None:
    """Of records in the wrong order the first alone is stored, however many there are."""
    cursor = txn.cursor()
    assert cursor.putmulti(reversed(numbered(1500)), append=True) == (1500, 1)
    assert list(txn.scan()) == [(number(1499), b"1499")]


@pytest.mark.parametrize("place", PLACES)
def test_putmulti_with_a_bad_key(txn: lmdb.Transaction, place: int) -> None:
    """The error says which record; those before it are stored."""
    items = numbered(3000)
    items[place] = (b"", b"")
    with pytest.raises(lmdb.BadValsizeError, match=BAD_SIZE) as caught:
        txn.cursor().putmulti(items)
    assert caught.value.record == place
    assert list(txn.scan()) == items[:place]


# -- delete_range --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("within", "left"), [
    ({}, b""), ({"start": b"c"}, b"ab"), ({"stop": b"c"}, b"cde"), ({"prefix": b"c"}, b"abde"),
    ({"start": b"b", "stop": b"d"}, b"ade"), ({"start": b"b", "stop": b"d", "include_stop": True}, b"ae"),
    ({"start": b"b", "include_start": False}, b"ab"), ({"start": b"d", "stop": b"b"}, b"abcde"),
    ({"stop": b""}, b"abcde"), ({"limit": 0}, b"abcde"), ({"limit": 2}, b"cde"), ({"limit": 99}, b""),
    ({"start": b"b", "limit": 1}, b"acde"), ({"prefix": b"x"}, b"abcde"), ({"prefix": b""}, b""),
])  # fmt: skip
@pytest.mark.parametrize("values", [1, 3], ids=["plain", "dupsort"])
def test_delete_range(env: lmdb.Environment, within: dict[str, Any], left: bytes, values: int) -> None:
    """The keys of the range go, at most ``limit``, each with all its values, and the records are counted."""
    with env.begin(write=True, db=env.open_db(b"db", dupsort=values > 1)) as txn:
        txn.putmany([(bytes([key]), b"%d" % value) for key in b"abcde" for value in range(values)])
        assert txn.delete_range(**within) == (5 - len(left)) * values
        assert list(txn.scan(values=False, dups=False)) == [bytes([key]) for key in left]
        assert txn.stat()["entries"] == len(left) * values


def test_delete_range_of_many(txn: lmdb.Transaction) -> None:
    """A range over many pages goes, and what is on either side of it stays."""
    txn.putmany((number(place), number(place) * (place % 200)) for place in range(5000))
    assert txn.delete_range(start=number(1000), stop=number(4000)) == 3000
    assert list(txn.scan(values=False)) == [number(place) for place in range(5000) if not 1000 <= place < 4000]
    assert txn.delete_range(limit=1500) == 1500
    assert txn.delete_range() == 500
    assert txn.stat()["entries"] == 0
    assert txn.stat()["leaf_pages"] == txn.stat()["overflow_pages"] == 0


def test_delete_range_of_many_values(env: lmdb.Environment) -> None:
    """Keys whose values fill pages of their own go with all of them."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        txn.putmany([(key, number(place)) for key in (b"a", b"b", b"c") for place in range(3000)])
        assert txn.delete_range(start=b"b", limit=1) == 3000
        assert list(txn.scan(values=False, dups=False)) == [b"a", b"c"]
        assert txn.count_range() == 6000


def test_delete_range_with_a_negative_limit(txn: lmdb.Transaction) -> None:
    """A limit below 0 is refused, and nothing deleted."""
    txn.putmany(numbered(3))
    with pytest.raises(ValueError, match=r"^limit=-1: "):
        txn.delete_range(limit=-1)
    assert txn.stat()["entries"] == 3


def test_delete_range_over_a_named_database(opened: Open) -> None:
    """A named database in the range stops it: the error has the number of records that went before, and the transaction
    must be aborted.
    """
    env = opened()
    env.open_db(b"m")
    with env.begin(write=True) as txn:
        txn.putmany([(b"a", b""), (b"b", b""), (b"z", b"")])
    with env.begin(write=True) as txn:
        with pytest.raises(lmdb.IncompatibleError, match=r"^mdb_cursor_del: MDB_INCOMPATIBLE: ") as caught:
            txn.delete_range()
        assert caught.value.record == 2
        with pytest.raises(lmdb.BadTxnError, match="MDB_BAD_TXN"):
            txn.get(b"z")
        txn.abort()
    with env.begin() as txn:
        assert txn.getmany([b"a", b"b", b"z"]) == [b""] * 3
    with env.begin(write=True) as txn:
        assert txn.delete_range(start=b"n") == 1


def test_cursors_after_delete_range(txn: lmdb.Transaction) -> None:
    """A cursor on a record that went goes on with the first one behind it."""
    txn.putmany(numbered(10))
    cursor = txn.cursor()
    cursor.set_key(number(4))
    iterator = cursor.iternext(values=False)
    assert next(iterator) == number(4)
    assert txn.delete_range(start=number(3), stop=number(7)) == 4
    assert next(iterator) == number(7)
    assert cursor.key() == number(7)


# -- single records beside many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8192, 100_000])
def test_get_after_the_first(txn: lmdb.Transaction, size: int) -> None:
    """Later look-ups in a transaction, which go another way than its first, give the same."""
    value = bytes(range(256)) * (size // 256 + 1)
    value = value[:size]
    assert txn.put(b"key", value)
    for _ in range(3):
        assert txn.get(b"key") == value
        assert txn.get(b"none") is None
        assert txn.get(b"none", b"default") == b"default"
        assert txn.put(b"key", value)
    assert txn.getmany([b"key", b"none"]) == [value, None]
    with pytest.raises(lmdb.BadValsizeError, match=r"^mdb_get: MDB_BAD_VALSIZE"):
        txn.get(b"")
    with pytest.raises(lmdb.BadValsizeError, match=r"^mdb_put: MDB_BAD_VALSIZE"):
        txn.put(b"", b"")
    assert txn.get(b"key") == value
