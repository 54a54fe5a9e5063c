"""Scans as columns, as Apache Arrow and as NumPy arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

import lmdb_bindings as lmdb

pytestmark = pytest.mark.usefixtures("path")

Open = Callable[..., lmdb.Environment]

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
RECORDS = [(b"%03d" % place, bytes([place]) * (place % 7)) for place in range(100)]


@pytest.fixture(params=[False, True], ids=["bytes", "views"])
def txn(env: lmdb.Environment, request: pytest.FixtureRequest) -> Iterator[lmdb.Transaction]:
    """A read transaction on RECORDS, whose first value is empty."""
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
    with env.begin(buffers=request.param) as txn:
        yield txn


def strings(column: Any) -> list[bytes]:
    """The strings of a column, whose parts must fit together."""
    offsets, data = memoryview(column[0]).cast("B").cast("q"), bytes(column[1])
    assert offsets[0] == 0
    assert offsets[-1] == len(data)
    return [data[a:b] for a, b in pairwise(offsets)]


# -- columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 99, 100, 101, 65536])
def test_columns(txn: lmdb.Transaction, batch: int) -> None:
    """The columns of all batches, one behind the other, are the records; a batch has its number of records at most."""
    batches = list(txn.scan().columns(batch))
    assert [columns.records for columns in batches] == [
        min(batch, 100 - place) for place in range(0, 100, batch)
    ]  # no empty one behind a last full one
    assert [key for columns in batches for key in strings(columns.keys)] == [key for key, _ in RECORDS]
    assert [value for columns in batches for value in strings(columns.values)] == [value for _, value in RECORDS]


def test_columns_not_asked_for(txn: lmdb.Transaction) -> None:
    """A column that was not asked for is None."""
    [columns] = txn.scan(values=False).columns()
    assert columns.values is None
    assert strings(columns.keys) == [key for key, _ in RECORDS]
    [columns] = txn.scan(keys=False, limit=5, reverse=True).columns()
    assert columns.keys is None
    assert strings(columns.values) == [value for _, value in RECORDS[:94:-1]]


def test_columns_are_lazy_and_bounded(txn: lmdb.Transaction) -> None:
    """Only the batches asked for are read, and the limit holds across them."""
    scan = txn.scan(limit=25)
    assert [columns.records for columns in scan.columns(10)] == [10, 10, 5]
    batches = scan.columns(10)
    assert next(batches).records == 10
    batches.close()  # type: ignore[attr-defined]
    assert [columns.records for columns in txn.scan(limit=20).columns(10)] == [10, 10]


@pytest.mark.parametrize("batch", [0, -1])
def test_columns_of_no_batch(txn: lmdb.Transaction, batch: int) -> None:
    """A batch has one record at least."""
    with pytest.raises(ValueError, match=rf"^batch={batch}: a number of records, 1 at least$"):
        next(txn.scan().columns(batch))


def test_columns_of_large_values(opened: Open) -> None:
    """A value larger than the room of a batch has a batch of its own, and none is lost beside it."""
    sizes = [10, (1 << 20) - 10, 20, 1 << 20, (1 << 20) + 1, 0, 3 << 20, 5]
    env = opened(map_size=1 << 26)
    with env.begin(write=True) as txn:
        txn.putmany([(b"%d" % place, bytes([place + 1]) * size) for place, size in enumerate(sizes)])
        batches = list(txn.scan().columns())
        assert len(batches) > 1
        values = [value for columns in batches for value in strings(columns.values)]
        assert values == [bytes([place + 1]) * size for place, size in enumerate(sizes)]
        assert [key for columns in batches for key in strings(columns.keys)] == [b"%d" % place for place in range(8)]


def test_columns_see_writes(env: lmdb.Environment) -> None:
    """In a write transaction the next batch begins behind the last record of this one, whatever was written since."""
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
        batches = txn.scan(values=False).columns(10)
        assert strings(next(batches).keys)[-1] == b"009"
        txn.put(b"0095", b"")
        txn.delete(b"010")
        assert strings(next(batches).keys)[:2] == [b"0095", b"011"]


def test_columns_outlive_the_transaction(env: lmdb.Environment) -> None:
    """Columns are copies."""
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
    with env.begin() as txn:
        columns = next(txn.scan().columns())
    with env.begin(write=True) as txn:
        txn.delete_range()
    env.close()
    assert strings(columns.values) == [value for _, value in RECORDS]


def test_columns_after_the_end(env: lmdb.Environment) -> None:
    """The next batch of a transaction that has ended raises."""
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
        batches = txn.scan().columns(10)
        next(batches)
    with pytest.raises(lmdb.Error, match=GONE):
        next(batches)


# -- Arrow -------------------------------------------------------------------------------------------------------------


def test_to_arrow(txn: lmdb.Transaction) -> None:
    """A scan is a table with the columns key and value, without nulls."""
    pa = pytest.importorskip("pyarrow")
    table = txn.scan().to_arrow()
    table.validate(full=True)
    assert table.schema == pa.schema([
        pa.field("key", pa.large_binary(), nullable=False), pa.field("value", pa.large_binary(), nullable=False),
    ])  # fmt: skip
    assert table.column("key").to_pylist() == [key for key, _ in RECORDS]
    assert table.column("value").to_pylist() == [value for _, value in RECORDS]


@pytest.mark.parametrize("what", ["keys", "values"])
def test_to_arrow_of_one_column(txn: lmdb.Transaction, what: str) -> None:
    """Only the column asked for is in the table."""
    pytest.importorskip("pyarrow")
    table = txn.scan(keys=what == "keys", values=what == "values").to_arrow()
    assert table.column_names == [what[:-1]]
    assert table.column(0).to_pylist() == [pair[what == "values"] for pair in RECORDS]


def test_to_arrow_of_nothing(txn: lmdb.Transaction) -> None:
    """A scan without result is a table without rows."""
    pytest.importorskip("pyarrow")
    table = txn.scan(prefix=b"x").to_arrow()
    table.validate(full=True)
    assert table.num_rows == 0
    assert table.column_names == ["key", "value"]


@pytest.mark.parametrize("batch", [1, 33, 100])
def test_to_arrow_reader(txn: lmdb.Transaction, batch: int) -> None:
    """The reader gives a record batch for each batch."""
    pytest.importorskip("pyarrow")
    reader = txn.scan().to_arrow_reader(batch)
    batches = list(reader)
    for part in batches:
        part.validate(full=True)
    assert [part.num_rows for part in batches] == [min(batch, 100 - place) for place in range(0, 100, batch)]
    assert [value for part in batches for value in part.column("value").to_pylist()] == [v for _, v in RECORDS]


def test_capsule_interface(txn: lmdb.Transaction) -> None:
    """Whoever takes Arrow streams takes a scan itself."""
    pa = pytest.importorskip("pyarrow")
    scan = txn.scan(limit=3)
    expected = {"key": [key for key, _ in RECORDS[:3]], "value": [value for _, value in RECORDS[:3]]}
    assert pa.table(scan).to_pydict() == expected
    assert pa.RecordBatchReader.from_stream(scan).read_all().to_pydict() == expected


def test_capsule_interface_with_a_schema(txn: lmdb.Transaction) -> None:
    """A consumer may ask for another schema."""
    pa = pytest.importorskip("pyarrow")
    schema = pa.schema([pa.field("key", pa.large_binary()), pa.field("value", pa.large_binary())])
    reader = pa.RecordBatchReader.from_stream(txn.scan(limit=2), schema=schema)
    assert reader.read_all().column("key").to_pylist() == [b"000", b"001"]


def test_arrow_outlives_the_environment(env: lmdb.Environment) -> None:
    """A table keeps its memory."""
    pytest.importorskip("pyarrow")
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
        table = txn.scan().to_arrow()
        txn.delete_range()
    env.close()
    table.validate(full=True)
    assert table.column("value").to_pylist() == [value for _, value in RECORDS]


def test_arrow_of_large_values(opened: Open) -> None:
    """Several batches make one table."""
    pytest.importorskip("pyarrow")
    env = opened(map_size=1 << 26)
    values = [bytes([place]) * 700_000 for place in range(9)]
    with env.begin(write=True) as txn:
        txn.putmany([(b"%d" % place, value) for place, value in enumerate(values)])
        table = txn.scan().to_arrow()
    table.validate(full=True)
    assert table.column("value").num_chunks > 1
    assert table.column("value").to_pylist() == values


def test_reader_of_an_ended_transaction(env: lmdb.Environment) -> None:
    """A reader whose transaction has ended raises what the binding raises."""
    pytest.importorskip("pyarrow")
    with env.begin(write=True) as txn:
        txn.putmany(RECORDS)
        reader = txn.scan().to_arrow_reader(10)
        reader.read_next_batch()
    with pytest.raises(lmdb.Error, match=GONE):
        reader.read_next_batch()


def test_without_pyarrow(txn: lmdb.Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the error says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (txn.scan().to_arrow, txn.scan().to_arrow_reader, txn.scan().__arrow_c_stream__):
        with pytest.raises(ImportError, match=r"^the export to Arrow needs pyarrow: pip install pyarrow$"):
            use()


# -- NumPy -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fixed(env: lmdb.Environment) -> Iterator[lmdb.Transaction]:
    """A write transaction on 1,000 keys of four bytes with their squares, as 64-bit numbers."""
    with env.begin(write=True) as txn:
        txn.putmany([(n.to_bytes(4, "big"), (n * n).to_bytes(8, "little")) for n in range(1000)])
        yield txn


def test_to_numpy(fixed: lmdb.Transaction) -> None:
    """Keys and values are arrays of the dtypes asked for."""
    np = pytest.importorskip("numpy")
    keys, values = fixed.scan().to_numpy(">u4", "<i8")
    assert (keys.dtype, values.dtype) == (np.dtype(">u4"), np.dtype("<i8"))
    assert keys.tolist() == list(range(1000))
    assert values.tolist() == [n * n for n in range(1000)]
    assert fixed.scan(start=(990).to_bytes(4, "big"), reverse=True, values=False).to_numpy(">u4").tolist() == [
        *range(999, 989, -1)
    ]


def test_to_numpy_of_one_column(fixed: lmdb.Transaction) -> None:
    """Of a scan that gives keys or values alone, the array comes alone."""
    np = pytest.importorskip("numpy")
    keys = fixed.scan(values=False, limit=3).to_numpy(key=">u4")
    assert isinstance(keys, np.ndarray)
    assert keys.tolist() == [0, 1, 2]
    assert fixed.scan(keys=False, limit=3).to_numpy(value="<u8").tolist() == [0, 1, 4]


def test_to_numpy_of_several_numbers(fixed: lmdb.Transaction) -> None:
    """A dtype may have fields, or a shape."""
    np = pytest.importorskip("numpy")
    keys, values = fixed.scan(limit=3).to_numpy(np.dtype([("high", ">u2"), ("low", ">u2")]), np.dtype(("<u4", (2,))))
    assert keys["low"].tolist() == [0, 1, 2]
    assert values.tolist() == [[0, 0], [1, 0], [4, 0]]


def test_to_numpy_of_strings(env: lmdb.Environment) -> None:
    """Without a dtype they are bytes of the first one's length, all of which count."""
    np = pytest.importorskip("numpy")
    with env.begin(write=True) as txn:
        txn.putmany([(b"ab", b"x\0"), (b"cd", b"\0y")])
        keys, values = txn.scan().to_numpy()
    assert (keys.dtype, values.dtype) == (np.dtype("S2"), np.dtype("S2"))
    assert keys.tolist() == [b"ab", b"cd"]
    assert values.tobytes() == b"x\0\0y"


def test_to_numpy_of_nothing(env: lmdb.Environment) -> None:
    """A scan without result gives empty arrays, of the dtypes asked for."""
    np = pytest.importorskip("numpy")
    with env.begin() as txn:
        keys, values = txn.scan().to_numpy(value="<i8")
    assert keys.shape == values.shape == (0,)
    assert keys.dtype.kind == "S"
    assert values.dtype == np.dtype("<i8")


def test_to_numpy_of_empty_values(env: lmdb.Environment) -> None:
    """Values without bytes are as many."""
    pytest.importorskip("numpy")
    with env.begin(write=True) as txn:
        txn.putmany([(b"a", b""), (b"b", b"")])
        keys, values = txn.scan().to_numpy()
    assert keys.tolist() == [b"a", b"b"]
    assert len(values) == 2
    assert values.dtype.itemsize == 0


@pytest.mark.parametrize("place", [0, 65535, 65536])
@pytest.mark.parametrize("what", ["key", "value"])
def test_to_numpy_of_another_length(opened: Open, place: int, what: str) -> None:
    """A key or value of another length is refused, by its number in the scan, in whichever batch it is."""
    pytest.importorskip("numpy")
    records = [(n.to_bytes(4, "big"), b"abcd") for n in range(65537)]
    key, value = records[place]
    records[place] = (key + b"\0", value) if what == "key" else (key, value + b"e")
    env = opened(map_size=1 << 25, sync=False)
    with env.begin(write=True) as txn:
        txn.putmany(records, append=True)
        with pytest.raises(
            ValueError, match=rf"^record {place} of the scan: its {what} has 5 bytes, and the dtype .* has 4$"
        ):
            txn.scan().to_numpy("u4", "u4")


def test_to_numpy_outlives_the_environment(env: lmdb.Environment) -> None:
    """Arrays keep their memory, and may be written to or not, but never to the map."""
    pytest.importorskip("numpy")
    with env.begin(write=True) as txn:
        txn.put(b"abcd", b"1234")
    with env.begin() as txn:
        keys, values = txn.scan().to_numpy()
    with env.begin(write=True) as txn:
        txn.delete_range()
    env.close()
    assert (keys.tolist(), values.tolist()) == ([b"abcd"], [b"1234"])


@pytest.mark.parametrize("dtype", ["O", "nonsense"])
def test_to_numpy_of_no_dtype(fixed: lmdb.Transaction, dtype: str) -> None:
    """What is no dtype of plain bytes is refused, also where it has a record's size."""
    pytest.importorskip("numpy")
    with pytest.raises((TypeError, ValueError)):
        fixed.scan().to_numpy(">u4", dtype)


def test_without_numpy(txn: lmdb.Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NumPy the error says what to install."""
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match=r"^the export to NumPy needs numpy: pip install numpy$"):
        txn.scan().to_numpy()
