"""Scans: which records a range has, in which order, and of which sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _iteration

pytestmark = pytest.mark.usefixtures("path")

Open = Callable[..., lmdb.Environment]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
KEYS = [b"a", b"aa", b"ab", b"b", b"ba", b"c", b"\xfe", b"\xff", b"\xff\xff"]


@pytest.fixture(params=[False, True], ids=["bytes", "views"])
def txn(env: lmdb.Environment, request: pytest.FixtureRequest) -> Iterator[lmdb.Transaction]:
    """A read transaction on KEYS, each with its double as value, that gives bytes or views."""
    with env.begin(write=True) as txn:
        txn.putmany([(key, key * 2) for key in KEYS])
    with env.begin(buffers=request.param) as txn:
        yield txn


@pytest.fixture
def dup(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A transaction on keys b"a" to b"c" with the values 1 to 3 each."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        txn.putmany([(bytes([key]), b"%d" % value) for key in b"abc" for value in (1, 2, 3)])
        yield txn


def integer(number: int, size: int = 8) -> bytes:
    return number.to_bytes(size, "little")


# -- ranges ------------------------------------------------------------------------------------------------------------

RANGES: list[tuple[dict[str, Any], list[bytes]]] = [
    ({}, KEYS),
    ({"start": b"ab"}, KEYS[2:]),
    ({"start": b"ab", "include_start": False}, KEYS[3:]),
    ({"start": b"abc"}, KEYS[3:]),
    ({"start": b"abc", "include_start": False}, KEYS[3:]),
    ({"start": b""}, KEYS),
    ({"start": b"", "include_start": False}, KEYS),
    ({"start": b"\xff\xff\xff"}, []),
    ({"start": b"\xff\xff", "include_start": False}, []),
    ({"stop": b"b"}, KEYS[:3]),
    ({"stop": b"b", "include_stop": True}, KEYS[:4]),
    ({"stop": b"az", "include_stop": True}, KEYS[:3]),
    ({"stop": b""}, []),
    ({"stop": b"", "include_stop": True}, []),
    ({"stop": b"a"}, []),
    ({"stop": b"\xff\xff\xff"}, KEYS),
    ({"start": b"aa", "stop": b"ba"}, KEYS[1:4]),
    ({"start": b"b", "stop": b"b"}, []),
    ({"start": b"b", "stop": b"b", "include_stop": True}, [b"b"]),
    ({"start": b"b", "stop": b"b", "include_stop": True, "include_start": False}, []),
    ({"start": b"c", "stop": b"a"}, []),
    ({"start": b"c", "stop": b"a", "include_stop": True}, []),
    ({"prefix": b""}, KEYS),
    ({"prefix": b"a"}, KEYS[:3]),
    ({"prefix": b"aa"}, [b"aa"]),
    ({"prefix": b"ac"}, []),
    ({"prefix": b"\xfe"}, [b"\xfe"]),
    ({"prefix": b"\xff"}, [b"\xff", b"\xff\xff"]),
    ({"prefix": b"\xff\xff"}, [b"\xff\xff"]),
    ({"prefix": b"\xff\xff\xff"}, []),
    ({"prefix": b"a", "start": b"aa"}, [b"aa", b"ab"]),
    ({"prefix": b"a", "start": b"aa", "include_start": False}, [b"ab"]),
    ({"prefix": b"a", "start": b"a", "include_start": False}, [b"aa", b"ab"]),
    ({"prefix": b"b", "start": b"a", "include_start": False}, [b"b", b"ba"]),
    ({"prefix": b"b", "start": b"c"}, []),
    ({"prefix": b"a", "stop": b"ab"}, [b"a", b"aa"]),
    ({"prefix": b"a", "stop": b"ab", "include_stop": True}, KEYS[:3]),
    ({"prefix": b"a", "stop": b"b", "include_stop": True}, KEYS[:3]),
    ({"prefix": b"a", "stop": b"c", "include_stop": True}, KEYS[:3]),
    ({"prefix": b"b", "stop": b"a"}, []),
    ({"prefix": b"a", "stop": b""}, []),
]


@pytest.mark.parametrize(("within", "expected"), RANGES, ids=lambda part: str(part) if isinstance(part, dict) else "")
def test_range(txn: lmdb.Transaction, within: dict[str, Any], expected: list[bytes]) -> None:
    """A scan gives the records of its range forward and in reverse, and count_range() counts them."""
    assert list(txn.scan(values=False, **within)) == expected
    assert list(txn.scan(values=False, reverse=True, **within)) == expected[::-1]
    assert list(txn.scan(**within)) == txn.scan(**within).to_list() == [(key, key * 2) for key in expected]
    assert txn.count_range(**within) == len(expected)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(b"x" + data)[1:]],
                         ids=["bytes", "bytearray", "memoryview", "slice"])  # fmt: skip
def test_bounds_may_be_buffers(txn: lmdb.Transaction, kind: Callable[[bytes], Any]) -> None:
    """A bound may be any bytes-like object, and is copied: what becomes of it later does not matter."""
    start, prefix = kind(b"aa"), kind(b"a")
    scan = txn.scan(start=start, stop=kind(b"b"), prefix=prefix, values=False)
    if isinstance(start, bytearray):
        start[:] = b"\xff\xff"
        prefix.clear()
    assert list(scan) == [b"aa", b"ab"]
    assert txn.count_range(start=kind(b"aa"), stop=kind(b"b")) == 2


@pytest.mark.parametrize("bound", ["prefix", "start", "stop"])
@pytest.mark.parametrize("method", ["scan", "count_range", "delete_range"])
@pytest.mark.parametrize("wrong", ["a", 1, [b"a"]], ids=["str", "int", "list"])
def test_bounds_of_a_wrong_type(txn: lmdb.Transaction, method: str, bound: str, wrong: Any) -> None:
    """A bound that is no bytes-like object is a TypeError at once."""
    with pytest.raises(TypeError, match="a bytes-like object is required"):
        getattr(txn, method)(**{bound: wrong})


@pytest.mark.parametrize("flag", ["reverse_key", "integerkey"])
@pytest.mark.parametrize("method", ["scan", "count_range", "delete_range"])
def test_prefix_of_another_order(env: lmdb.Environment, flag: str, method: str) -> None:
    """Where keys are not sorted from their first byte on, a prefix is refused."""
    options: dict[str, Any] = {flag: True}
    database = env.open_db(b"db", **options)
    with env.begin(write=True, db=database) as txn, pytest.raises(ValueError, match=r"^a prefix means nothing here"):
        getattr(txn, method)(prefix=b"a")


def test_reverse_key(env: lmdb.Environment) -> None:
    """The bounds follow the order of the database, by the last byte first."""
    with env.begin(write=True, db=env.open_db(b"db", reverse_key=True)) as txn:
        txn.putmany([(key, b"") for key in (b"za", b"yb", b"xc", b"c")])
        assert list(txn.scan(values=False)) == [b"za", b"yb", b"c", b"xc"]
        assert list(txn.scan(values=False, start=b"b", stop=b"xc")) == [b"yb", b"c"]
        assert list(txn.scan(values=False, start=b"b", stop=b"xc", include_stop=True, reverse=True)) == [
            b"xc", b"c", b"yb",
        ]  # fmt: skip


def test_integerkey(env: lmdb.Environment) -> None:
    """The bounds follow the order of the numbers; one of another size is refused."""
    with env.begin(write=True, db=env.open_db(b"db", integerkey=True)) as txn:
        keys = [integer(number) for number in (1, 2, 255, 256, 65536, 2**40)]
        txn.putmany([(key, b"") for key in reversed(keys)])
        assert list(txn.scan(values=False)) == keys
        assert list(txn.scan(values=False, start=keys[1], stop=keys[4])) == keys[1:4]
        assert list(txn.scan(values=False, start=integer(3), stop=keys[3], include_stop=True)) == keys[2:4]
        assert list(txn.scan(values=False, stop=keys[4], include_stop=True, reverse=True, limit=2)) == [
            keys[4],
            keys[3],
        ]
        for bound in ("start", "stop"):
            with pytest.raises(ValueError, match=r"^the keys of an integerkey database have 4 or 8 bytes"):
                txn.scan(**{bound: b"123"})  # type: ignore[arg-type]


# -- what is given -----------------------------------------------------------------------------------------------------


def test_keys_values_or_both(txn: lmdb.Transaction) -> None:
    """A scan gives pairs, keys or values; to give neither makes no sense."""
    assert list(txn.scan(prefix=b"c")) == [(b"c", b"cc")]
    assert list(txn.scan(prefix=b"c", values=False)) == txn.scan(prefix=b"c", values=False).to_list() == [b"c"]
    assert list(txn.scan(prefix=b"c", keys=False)) == txn.scan(prefix=b"c", keys=False).to_list() == [b"cc"]
    with pytest.raises(ValueError, match=r"^a scan without keys and values gives nothing: use count_range\(\)$"):
        txn.scan(keys=False, values=False)


@pytest.mark.parametrize(("options", "expected"), [
    ({}, [b"a1", b"a2", b"a3", b"b1", b"b2", b"b3", b"c1", b"c2", b"c3"]),
    ({"dups": False}, [b"a1", b"b1", b"c1"]),
    ({"dups": False, "reverse": True}, [b"c3", b"b3", b"a3"]),
    ({"start": b"b"}, [b"b1", b"b2", b"b3", b"c1", b"c2", b"c3"]),
    ({"start": b"b", "include_start": False}, [b"c1", b"c2", b"c3"]),
    ({"stop": b"b", "include_stop": True, "reverse": True}, [b"b3", b"b2", b"b1", b"a3", b"a2", b"a1"]),
    ({"stop": b"b", "include_stop": True, "reverse": True, "dups": False}, [b"b3", b"a3"]),
    ({"stop": b"b", "reverse": True, "dups": False}, [b"a3"]),
    ({"prefix": b"b", "reverse": True, "limit": 2}, [b"b3", b"b2"]),
    ({"limit": 4}, [b"a1", b"a2", b"a3", b"b1"]),
    ({"limit": 2, "dups": False}, [b"a1", b"b1"]),
])  # fmt: skip
def test_dupsort(dup: lmdb.Transaction, options: dict[str, Any], expected: list[bytes]) -> None:
    """Every value of a key is a record; without ``dups`` its first one alone, or in reverse its last."""
    assert [key + value for key, value in dup.scan(**options)] == expected
    assert [key + value for key, value in dup.scan(**options).to_list()] == expected


@pytest.mark.parametrize("limit", [0, 1, 3, 8, 9, 10, 1000, 2**70])
def test_limit(txn: lmdb.Transaction, limit: int) -> None:
    """A limit is the number of records at most."""
    assert list(txn.scan(values=False, limit=limit)) == KEYS[:limit]
    assert list(txn.scan(values=False, limit=limit, reverse=True)) == KEYS[::-1][:limit]


def test_negative_limit(txn: lmdb.Transaction) -> None:
    """A limit below 0 is refused."""
    with pytest.raises(ValueError, match=r"^limit=-1: 0 or more, or None for all$"):
        txn.scan(limit=-1)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (2, 4), (3, 3), (5, 8)], ids=str)
def test_batches(txn: lmdb.Transaction, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]) -> None:
    """Wherever a batch ends, before, at or behind the limit and the end of the range, the records are the same."""
    monkeypatch.setattr(_iteration, "FIRST", sizes[0])
    monkeypatch.setattr(_iteration, "GROWTH", 2)
    monkeypatch.setattr(_iteration, "MOST", sizes[1])
    for limit in range(11):
        for stop in range(9):
            expected = [(key, key * 2) for key in KEYS[:stop][:limit]]
            assert list(txn.scan(limit=limit, stop=KEYS[stop])) == expected
            assert txn.scan(limit=limit, stop=KEYS[stop]).to_list() == expected
            back = [(key, key * 2) for key in KEYS[stop:][::-1][:limit]]
            assert list(txn.scan(limit=limit, start=KEYS[stop], reverse=True)) == back


def test_empty_database(env: lmdb.Environment) -> None:
    """Of an empty database every scan is empty."""
    with env.begin(db=env.open_db(b"empty")) as txn:
        ranges: list[dict[str, Any]] = [
            {},
            {"reverse": True},
            {"prefix": b"a"},
            {"start": b"a", "stop": b"b"},
            {"limit": 0},
        ]
        for options in ranges:
            scan = txn.scan(**options)
            assert list(scan) == scan.to_list() == []
            assert list(scan.columns()) == []


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffers", [False, True], ids=["bytes", "views"])
def test_sizes_of_values(opened: Open, buffers: bool) -> None:
    """Values of every size come whole: empty ones, around a page, around a batch's room, and far larger."""
    env = opened(map_size=1 << 26)
    around = [(1 << 19) + delta for delta in (-60, -41, -40, -39, -38, -37, -30, -20, -10, -1, 0, 1)]
    sizes = [0, 4095, *around, 4096, 0, 1 << 20, 4097, 3_000_000, 1, 255, 256, 17, (1 << 19) - 5, 0]
    records = [(b"%04d" % place, bytes([place + 1]) * size) for place, size in enumerate(sizes)]
    with env.begin(write=True) as txn:
        assert txn.putmany(records) == len(records)
    with env.begin(buffers=buffers) as txn:
        assert [(bytes(key), bytes(value)) for key, value in txn.scan()] == records
        assert [(bytes(key), bytes(value)) for key, value in txn.scan().to_list()] == records
        assert [(bytes(key), bytes(value)) for key, value in txn.scan(reverse=True)] == records[::-1]
        assert [bytes(value) for value in txn.scan(keys=False)] == [value for _, value in records]
        assert [bytes(value) for _, value in txn.cursor()] == [value for _, value in records]
        assert [bytes(value) for value in txn.getmany(key for key, _ in records)] == [value for _, value in records]
        assert [
            (bytes(key), bytes(value)) for key, value in txn.cursor().getmulti([key for key, _ in records])
        ] == records
        for key, value in records:
            assert bytes(txn.get(key)) == value


def test_many_batches_of_bytes(opened: Open) -> None:
    """A result of many times the room of a batch comes whole and in order, and so does its reverse."""
    env = opened(map_size=1 << 26)
    records = [(place.to_bytes(4, "big"), bytes([place % 256]) * (place * 7 % 5000)) for place in range(3000)]
    with env.begin(write=True) as txn:
        txn.putmany(records, append=True)
        assert list(txn.scan()) == records
        assert list(txn.scan(reverse=True, limit=2000)) == records[:999:-1]
        assert list(txn.cursor().iterprev(keys=False)) == [value for _, value in records[::-1]]


def test_longest_keys(env: lmdb.Environment) -> None:
    """Keys of the maximal length come whole, and bound a range."""
    longest = env.max_key_size()
    keys = [bytes([byte]) * longest for byte in (1, 2, 254, 255)]
    with env.begin(write=True) as txn:
        txn.putmany([(key, b"") for key in keys])
        assert list(txn.scan(values=False)) == keys
        assert list(txn.scan(values=False, start=keys[1], stop=keys[3])) == keys[1:3]
        assert list(txn.scan(values=False, prefix=keys[3])) == keys[3:]
        assert list(txn.scan(values=False, prefix=keys[2], reverse=True)) == [keys[2]]


# -- scans as objects --------------------------------------------------------------------------------------------------


def test_scan_again(txn: lmdb.Transaction) -> None:
    """A scan may be used again, also while it is in use."""
    scan = txn.scan(values=False, limit=3)
    assert [pair for pair in zip(scan, scan, strict=True)] == [(key, key) for key in KEYS[:3]]  # noqa: C416
    assert list(scan) == list(scan) == KEYS[:3]


def test_scan_reads_when_it_is_iterated(env: lmdb.Environment) -> None:
    """What is written between the making of a scan, or of its iterator, and the first record is seen."""
    with env.begin(write=True) as txn:
        scan = txn.scan(values=False)
        iterator = iter(scan)
        txn.put(b"late", b"")
        assert list(iterator) == list(scan) == [b"late"]


def test_views(env: lmdb.Environment) -> None:
    """With ``buffers=True`` a scan gives read-only memoryviews, which hold their snapshot when the transaction ends."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with env.begin(buffers=True) as txn:
        [(key, value)] = list(txn.scan())
        columns = next(txn.scan().columns())
    with env.begin(write=True) as writer:
        writer.put(b"key", b"other")
    assert isinstance(key, memoryview)
    assert key.readonly
    assert value.readonly
    assert (bytes(key), bytes(value)) == (b"key", b"value")
    assert columns.values is not None
    assert bytes(columns.values[1]) == b"value"


def test_views_of_a_write_transaction(env: lmdb.Environment) -> None:
    """In a write transaction the views are of copies: writes do not change them."""
    with env.begin(write=True, buffers=True) as txn:
        txn.putmany([(b"a", b"old"), (b"b", b"old")])
        [(_, first), (_, second)] = txn.scan()
        assert txn.replace(b"a", b"new") == b"old"
        txn.delete(b"b")
        assert first == second == b"old"
        assert isinstance(first, memoryview)
        assert first.readonly


def test_scan_of_an_ended_transaction(env: lmdb.Environment) -> None:
    """A scan cannot be used once its transaction has ended."""
    with env.begin() as txn:
        scan = txn.scan()
    for use in (lambda: iter(scan), scan.to_list, lambda: next(scan.columns()), txn.count_range):
        with pytest.raises(lmdb.Error, match=GONE):
            use()


def test_database_of_another_environment(opened: Open) -> None:
    """A database of another environment is refused by all."""
    env, other = opened(), opened("other").open_db(b"db")
    pattern = r"^Database handle belongs to another environment\.$"
    with env.begin(write=True) as txn:
        for use in (
            lambda: list(txn.scan(other)), lambda: txn.count_range(other), lambda: txn.delete_range(other),
            lambda: txn.getmany([b"a"], db=other), lambda: txn.putmany([(b"a", b"")], db=other),
        ):  # fmt: skip
            with pytest.raises(lmdb.Error, match=pattern):
                use()


def test_dropped_database(env: lmdb.Environment) -> None:
    """A database that was deleted is refused by all."""
    database = env.open_db(b"db")
    with env.begin(write=True, db=database) as txn:
        txn.drop(database)
        for use in (
            lambda: list(txn.scan()), txn.count_range, txn.delete_range,
            lambda: txn.getmany([b"a"]), lambda: txn.putmany([(b"a", b"")]),
        ):  # fmt: skip
            with pytest.raises(lmdb.Error, match="closed/deleted/dropped object"):
                use()


# -- count_range -------------------------------------------------------------------------------------------------------


def test_count_of_values_and_of_keys(dup: lmdb.Transaction) -> None:
    """Records are counted, or keys."""
    assert dup.count_range() == 9
    assert dup.count_range(dups=False) == 3
    assert dup.count_range(start=b"a", include_start=False, stop=b"c", include_stop=True) == 6
    assert dup.count_range(prefix=b"b", dups=False) == 1
    assert dup.count_range(start=b"c", stop=b"a") == 0


def test_count_with_many_values(env: lmdb.Environment) -> None:
    """Values that fill pages of their own are counted too."""
    with env.begin(write=True, db=env.open_db(b"dup", dupsort=True)) as txn:
        for key in (b"a", b"b"):
            txn.putmany([(key, place.to_bytes(4, "big")) for place in range(5000)])
        assert txn.count_range() == 10_000
        assert txn.count_range(start=b"b") == 5000
        assert len(list(txn.scan(stop=b"b"))) == 5000
