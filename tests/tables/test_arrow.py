"""Tables and queries as Arrow, pandas, Polars, DuckDB and Dask: the same values by each, and whole snapshots."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _plain
from lmdb_bindings.tables import DamagedError, Index, Table, keys, values
from lmdb_bindings.tables.flatbuffers import FlatBuffers

pa = pytest.importorskip("pyarrow", reason="there is no pyarrow for this interpreter")

SCHEMA = Path(__file__).with_name("everything.fbs")
ROWS = 1000


def row(number: int) -> dict[str, Any]:
    """A record with much in it, and some of it missing."""
    point = {"x": float(number), "y": -float(number)}
    value: dict[str, Any] = {"needed": f"n{number}", "i16": number, "truth": number % 2 == 0, "colour": number % 3}
    if number % 2:
        value |= {"text": f"text {number} ß", "raw": bytes([number % 256]) * (number % 5), "no_i32": number,
                  "point": point, "u64": 2**64 - 1 - number}  # fmt: skip
    if number % 3:
        leaf = {"name": "l" * (number % 7), "weight": number / 4}
        value |= {"leaf": leaf, "texts": ["a", "", "ß" * number][: number % 4], "longs": list(range(number % 5)),
                  "points": [point] * (number % 3), "leaves": [leaf] * (number % 3), "colours": [7, 1],
                  "doubles": [0.5] * (number % 2)}  # fmt: skip
    return value


COLUMNS = ["needed", "i16", "truth", "colour", "text", "raw", "no_i32", "point", "u64", "texts", "longs", "points",
           "colours", "doubles", "i8", "f32", "box"]  # fmt: skip


@pytest.fixture
def table(env: lmdb.Environment) -> Table[int, Any]:
    codec = FlatBuffers(SCHEMA)
    table: Table[int, Any] = Table(env, "rows", key=keys.uint32, value=codec, indexes={"i": Index("i16", keys.int16)})
    table.update({number: row(number) for number in range(ROWS)})
    return table


def plain(value: Any) -> Any:
    """As ``to_pylist()`` gives it."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


# -- FlatBuffers -------------------------------------------------------------------------------------------------------


def test_columns_have_the_values_of_the_records(table: Table[int, Any]) -> None:
    """Scalars, strings, bytes, lists, structs and lists of structs; defaults, and nulls where there is nothing."""
    found = table.to_arrow(COLUMNS)
    assert found.column_names == COLUMNS
    with table.begin() as snapshot:
        records = [record.to_dict() for record in snapshot.values()]
    assert found.to_pylist() == [{name: plain(record[name]) for name in COLUMNS} for record in records]


def test_a_path_leads_into_a_record(table: Table[int, Any]) -> None:
    """Null where one of its parts is."""
    found = table.to_arrow(["point.x", "leaf.name", "leaf.weight"])
    assert found.column_names == ["point.x", "leaf.name", "leaf.weight"]
    with table.begin() as snapshot:
        expected = [
            (r.point and r.point.x, r.leaf and r.leaf.name, r.leaf and r.leaf.weight) for r in snapshot.values()
        ]
    assert [tuple(line.values()) for line in found.to_pylist()] == expected


@pytest.mark.parametrize("batch", [1, 7, 1000, 5000])
def test_batches_are_bounded(table: Table[int, Any], batch: int) -> None:
    """And make the same table, by a range, in reverse, with a limit, and by an index."""
    with table.begin() as snapshot:
        for query, expected in (
            (snapshot.range(10, 20), range(10, 20)),
            (snapshot.range(10, 20, reverse=True), range(19, 9, -1)),
            (snapshot.range(990, limit=5), range(990, 995)),
            (snapshot.by("i").range(5, 30), range(5, 30)),
            (snapshot.by("i").range(5, 30, reverse=True), range(29, 4, -1)),
            (snapshot.range(5000), range(0)),
            (snapshot.range(), range(ROWS)),
        ):
            batches = list(query.to_arrow_reader(["i16"], batch=batch))
            assert [value for each in batches for value in each.column(0).to_pylist()] == list(expected)
            assert all(0 < each.num_rows <= batch for each in batches)
        with pytest.raises(ValueError, match="batch=0: a number of records, 1 at least"):
            snapshot.range().to_arrow_reader(["i16"], batch=0)


def test_batches_of_large_records_are_small(env: lmdb.Environment) -> None:
    """They are bounded by bytes too, in the order of an index as in that of the keys."""
    codec = FlatBuffers(b"table T { text: string; n: int; } root_type T;")
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=codec, indexes={"by_n": Index("n", keys.int32)})
    table.update({number: {"text": "x" * 2_000_000, "n": -number} for number in range(4)})
    for query in (table.range(), table.by("by_n").range()):
        assert max(batch.num_rows for batch in query.to_arrow_reader()) <= 3
        assert query.to_arrow(["n"]).num_rows == 4


def test_keys_come_first_where_they_are_not_made_of_fields(env: lmdb.Environment) -> None:
    """Typed as their codec; a tuple has a column for each part; alone they are given too."""
    schema = b"table T { a: uint; b: string; } root_type T;"
    apart: Table[Any, Any] = Table(env, "apart", key=keys.tuple_of(keys.string, keys.int8), value=FlatBuffers(schema))
    made: Table[int, Any] = Table(env, "made", key=keys.uint32, value=FlatBuffers(schema), fields="a")
    apart["x", -1] = {"a": 5}
    made.add({"a": 6, "b": "s"})
    assert apart.to_arrow().to_pylist() == [{"key.0": "x", "key.1": -1, "a": 5, "b": None}]
    assert apart.range().keys().to_arrow().to_pylist() == [{"key.0": "x", "key.1": -1}]
    assert apart.range().values().to_arrow().to_pylist() == [{"a": 5, "b": None}]
    assert apart.to_arrow().schema.types[:2] == [pa.large_string(), pa.int8()]
    assert apart.range().keys().to_arrow().schema.types == [pa.large_string(), pa.int8()]
    assert made.to_arrow().to_pylist() == [{"a": 6, "b": "s"}]


KEYS: list[tuple[Any, Any, Any]] = [
    (keys.uint8, 5, 5), (keys.uint16, 5, 5), (keys.uint32, 5, 5), (keys.uint64, 2**64 - 1, 2**64 - 1),
    (keys.int8, -5, -5), (keys.int16, -5, -5), (keys.int32, -5, -5), (keys.int64, -(2**63), -(2**63)),
    (keys.float32, 0.5, 0.5), (keys.float64, -0.1, -0.1), (keys.bool, True, True), (keys.string, "ß", "ß"),
    (keys.bytes, b"\xff", b"\xff"), (keys.uuid, uuid.UUID(int=7), uuid.UUID(int=7).bytes),
    (keys.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.timezone.utc), dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.timezone.utc)),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "key", "expected"), KEYS, ids=[codec.name for codec, _, _ in KEYS])
def test_native_code_and_python_make_the_same_columns_of_keys(
    env: lmdb.Environment, codec: Any, key: Any, expected: Any
) -> None:
    """Values and types."""
    native: Table[Any, Any] = Table(env, "n", key=codec, value=FlatBuffers(b"table T { a: int; } root_type T;"))
    python: Table[Any, Any] = Table(env, "p", key=codec, value=values.json)
    native[key], python[key] = {"a": 1}, {"a": 1}
    by_native, by_python = native.to_arrow(), python.to_arrow()
    assert by_native.column("key").to_pylist() == by_python.column("key").to_pylist() == [expected]
    assert by_native.schema.field("key").type == by_python.schema.field("key").type


def test_a_damaged_record_is_named(table: Table[int, Any]) -> None:
    """By its table and key; nothing is left out silently."""
    with table.env.begin(write=True) as txn:
        txn.put(keys.uint32.encode(500), b"\x10\0\0\0" * 3, db=table.env.open_db(b"rows", txn))
    with pytest.raises(DamagedError, match=r"table 'rows', key b'\\x00\\x00\\x01\\xf4': "):
        table.to_arrow(["i16"])
    assert table.range(0, 500).to_arrow(["i16"]).num_rows == 500


def test_wrong_columns_are_refused(table: Table[int, Any]) -> None:
    """One that is not there, one that contains itself, none at all, and a schema where there is one."""
    with pytest.raises(ValueError, match="nothing"):
        table.to_arrow(["nothing"])
    with pytest.raises(ValueError, match="children"):
        table.to_arrow(["leaf"])
    with pytest.raises(ValueError, match=r"columns=\[\]: name a field"):
        table.to_arrow([])
    with pytest.raises(ValueError, match="have one already"):
        table.to_arrow(schema=pa.schema([]))


def test_a_stream_is_one_snapshot(table: Table[int, Any]) -> None:
    """What is written while it is read is not in it; its transaction ends with it, and no sooner."""
    reader = table.to_arrow_reader(["i16"], batch=100)
    first = reader.read_next_batch()
    table.clear()
    rest = reader.read_all()
    assert first.num_rows + rest.num_rows == ROWS
    assert rest.column(0).to_pylist()[-1] == ROWS - 1
    assert table.to_arrow(["i16"]).num_rows == 0
    assert table.env.info()["num_readers"] <= 2


def test_a_stream_in_a_transaction_ends_with_it(table: Table[int, Any]) -> None:
    """It says so; batches that were read stay as they are."""
    with table.begin() as snapshot:
        reader = snapshot.to_arrow_reader(["i16", "text"], batch=100)
        first = reader.read_next_batch()
    with pytest.raises(lmdb.Error, match="closed/deleted/dropped"):
        reader.read_next_batch()
    table.env.close()
    assert first.column(0).to_pylist() == list(range(100))
    assert first.column(1).to_pylist()[1] == "text 1 ß"


def test_a_write_transaction_exports_what_it_has_written(table: Table[int, Any]) -> None:
    """Also while it goes on writing."""
    with table.begin(write=True) as bound:
        bound[0] = {"needed": "new", "i16": -7}
        reader = bound.to_arrow_reader(["i16"], batch=10)
        first = reader.read_next_batch()
        del bound[ROWS - 1]
        rest = reader.read_all()
    assert first.column(0).to_pylist() == [-7, *range(1, 10)]
    assert rest.column(0).to_pylist() == list(range(10, ROWS - 1))


def test_without_the_bulk_library_it_is_the_same(table: Table[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As where pages are remapped: records are copied in Python then."""
    expected = table.to_arrow(COLUMNS), table.by("i").range().to_arrow(["i16", "text"])
    engine = table.env._engine
    monkeypatch.setattr(engine, "bulk", None)
    if engine.fast is not None:
        monkeypatch.setattr(engine.fast, "is_on", False)
    monkeypatch.setattr(engine, "records", _plain)
    assert table.to_arrow(COLUMNS).equals(expected[0])
    assert table.by("i").range().to_arrow(["i16", "text"]).equals(expected[1])


@pytest.mark.parametrize(
    "options", [{"checksum": "crc32c"}, {"encryption_key": b"k" * 32}], ids=["checksum", "encrypted"]
)
def test_remapped_pages_are_exported(tmp_path: Path, options: dict[str, Any]) -> None:
    """Where LMDB may take a page back between two records, which are copied."""
    with lmdb.open(tmp_path / "e", max_dbs=4, map_size=1 << 26, **options) as env:
        codec = FlatBuffers(SCHEMA)
        table: Table[int, Any] = Table(env, "t", key=keys.uint32, value=codec, indexes={"i": Index("i16", keys.int16)})
        table.update({number: row(number) for number in range(ROWS)})
        assert table.to_arrow(["i16"]).column(0).to_pylist() == list(range(ROWS))
        assert table.by("i").range(5, 9).to_arrow(["needed"]).column(0).to_pylist() == ["n5", "n6", "n7", "n8"]


# -- other codecs ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Place:
    """What a table of dataclasses has."""

    name: str
    size: int | None = None


def test_dicts_become_columns(env: lmdb.Environment) -> None:
    """Of all fields that a batch has; what a record lacks is null."""
    table: Table[str, Any] = Table(env, "t", key=keys.string, value=values.json)
    table.update({"a": {"x": 1, "at": {"y": 2.5}}, "b": {"z": ["p"]}})
    assert table.to_arrow().to_pylist() == [
        {"key": "a", "x": 1, "at": {"y": 2.5}, "z": None},
        {"key": "b", "x": None, "at": None, "z": ["p"]},
    ]
    assert table.to_arrow(["at.y", "x"]).to_pylist() == [{"at.y": 2.5, "x": 1}, {"at.y": None, "x": None}]
    schema = pa.schema([("x", pa.int8()), ("key", pa.large_string())])
    assert table.to_arrow(schema=schema).schema == schema


def test_other_values_are_one_column(env: lmdb.Environment) -> None:
    """Bytes, strings and scalars."""
    for name, codec, given in (("b", values.bytes, b"\xff"), ("s", values.string, "ß"), ("j", values.json, 5)):
        table: Table[int, Any] = Table(env, name, key=keys.uint8, value=codec)
        table[1] = given
        assert table.to_arrow().to_pylist() == [{"key": 1, "value": given}]
    strings: Table[int, str] = Table(env, "s")
    assert strings.to_arrow(["value"]).to_pylist() == [{"value": "ß"}]
    with pytest.raises(ValueError, match="there is no size, but 'value'"):
        strings.to_arrow(["value", "size"])


def test_dataclasses_and_arrays_become_columns(env: lmdb.Environment) -> None:
    """A column for each field; arrays of one shape as lists of fixed sizes, also nested."""
    places: Table[int, Any] = Table(env, "places", key=keys.uint8, value=values.dataclass(Place))
    places.update({1: Place("a", 5), 2: Place("b")})
    assert places.to_arrow().to_pylist() == [{"key": 1, "name": "a", "size": 5}, {"key": 2, "name": "b", "size": None}]
    arrays: Table[int, Any] = Table(env, "arrays", key=keys.uint8, value=values.numpy("<f4", (2, 3)))
    arrays[1] = [[1, 2, 3], [4, 5, 6]]
    found = arrays.to_arrow()
    assert found.column("value").to_pylist() == [[[1, 2, 3], [4, 5, 6]]]
    assert found.schema.field("value").type == pa.list_(pa.list_(pa.float32(), 3), 2)
    numbers: Table[int, Any] = Table(env, "complex", key=keys.uint8, value=values.numpy("<c16"))
    numbers[1] = 1j
    with pytest.raises(ValueError, match="table 'complex': these records are no columns"):
        numbers.to_arrow()


def test_records_that_are_no_columns_are_refused(env: lmdb.Environment) -> None:
    """Values of two types, and a batch with other columns than the one before: a schema cures both."""
    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.json)
    table.update({1: {"x": 1}, 2: {"x": "one"}})
    with pytest.raises(ValueError, match=r"table 't': these records are no columns of one type: .*; give schema="):
        table.to_arrow()
    table[2] = {"y": 1}
    with pytest.raises(ValueError, match=r"there is no x; give schema="):
        table.to_arrow_reader(batch=1).read_all()
    table[2] = {"x": 1, "y": 1}
    with pytest.raises(ValueError, match=r"the records before them have no y; give schema="):
        table.to_arrow_reader(batch=1).read_all()
    table.update({2: {"x": 2.5, "z": 0}, 3: {"y": "why"}})
    schema = pa.schema([("x", pa.float64()), ("y", pa.string())])
    reader = table.range().to_arrow_reader(schema=schema, batch=1)
    assert reader.read_all().to_pylist() == [{"x": 1.0, "y": None}, {"x": 2.5, "y": None}, {"x": None, "y": "why"}]
    with pytest.raises(ValueError, match="table 't': these records are no columns of y: int8") as caught:
        table.to_arrow(schema=pa.schema([("y", pa.int8())]))
    assert "give schema=" not in str(caught.value)


@pytest.mark.parametrize("codec", [values.json, FlatBuffers(b"table T { key: int; n: int; } root_type T;")])
def test_a_field_with_the_name_of_the_key_is_refused(env: lmdb.Environment, codec: Any) -> None:
    """Neither is taken for the other: the fields may be named, or values be had without the keys."""
    table: Table[str, Any] = Table(env, "t", key=keys.string, value=codec)
    table["a"] = {"key": 5, "n": 6}
    with pytest.raises(ValueError, match=r"table 't': its keys and a field of its values are both the column 'key'"):
        table.to_arrow()
    assert table.to_arrow(["key", "n"]).to_pylist() == table.range().values().to_arrow().to_pylist()
    assert table.range().values().to_arrow().to_pylist() == [{"key": 5, "n": 6}]
    assert table.range().keys().to_arrow().to_pylist() == [{"key": "a"}]


def test_no_records_have_columns_too(env: lmdb.Environment, table: Table[int, Any]) -> None:
    """Of FlatBuffers all of them, by the schema; of others those that are known."""
    empty: Table[int, Any] = Table(env, "t", key=keys.uint8, value=values.json)
    assert empty.to_arrow().column_names == ["key"]
    assert empty.to_arrow(schema=pa.schema([("x", pa.int8())])).column_names == ["x"]
    assert table.range(5000).to_arrow(["i16"]).schema == table.to_arrow(["i16"]).schema


# -- frames ------------------------------------------------------------------------------------------------------------


def test_pandas_and_polars_have_the_same(table: Table[int, Any]) -> None:
    """By Arrow: strings, numbers, nulls, lists."""
    columns = ["needed", "i16", "no_i32", "texts", "u64"]
    rows = table.to_arrow(columns).to_pylist()
    frame = table.to_pandas(columns)
    assert frame["i16"].tolist() == [line["i16"] for line in rows]
    assert math.isnan(frame["no_i32"][0])
    assert frame["no_i32"][1] == 1.0
    typed = table.range(0, 10).to_pandas(columns, arrow_types=True)
    assert str(typed.dtypes["no_i32"]) == "int32[pyarrow]"
    assert typed["u64"][1] == 2**64 - 2
    polars = table.to_polars(columns)
    assert polars.to_dicts() == rows
    import polars as pl

    assert pl.DataFrame(table.range(0, 10).values().to_arrow(columns)).to_dicts() == rows[:10]


def test_others_take_a_table_as_it_is(env: lmdb.Environment) -> None:
    """By the PyCapsule interface: pyarrow, Polars and DuckDB."""
    import duckdb
    import polars as pl

    table: Table[int, Any] = Table(env, "t", key=keys.uint8, value=FlatBuffers(b"table T { a: int; } root_type T;"))
    table.update({number: {"a": number * number} for number in range(10)})
    expected = [{"key": number, "a": number * number} for number in range(10)]
    assert pa.table(table).to_pylist() == expected
    assert pl.DataFrame(table.range(2, 5)).to_dicts() == expected[2:5]
    assert duckdb.from_arrow(table.to_arrow()).filter("a > 50").fetchall() == [(8, 64), (9, 81)]


@pytest.fixture
def several(opened: Callable[..., lmdb.Environment], tmp_path: Path) -> list[str]:
    """Paths of environments with the same table."""
    for name in "abc":
        with opened(name) as env:
            codec = FlatBuffers(b"table T { where: string; size: int; } root_type T;")
            table: Table[int, Any] = Table(env, "t", key=keys.uint32, value=codec)
            table.update({number: {"where": name, "size": number} for number in range(10)})
    return [str(tmp_path / name) for name in "abc"]


def test_duckdb_reads_several_environments(several: list[str]) -> None:
    """One relation, which can be asked again; environments that are open already are taken as they are."""
    from lmdb_bindings.tables import frames

    relation = frames.duckdb(several, "t")
    for _ in range(2):
        found = relation.filter("size = 7").order('"where"').fetchall()
        assert found == [(7, "a", 7), (7, "b", 7), (7, "c", 7)]
    with lmdb.open(several[0], max_dbs=8) as env:
        assert frames.duckdb(env, "t", ["size"]).aggregate("sum(size)").fetchall() == [(45,)]
        assert frames.duckdb([env, several[1]], "t", ["size"]).aggregate("sum(size)").fetchall() == [(90,)]
    with pytest.raises(ValueError, match="no environment is given"):
        frames.duckdb([], "t")


def test_duckdb_refuses_tables_with_other_columns(several: list[str], tmp_path: Path) -> None:
    """And says where."""
    from lmdb_bindings.tables import frames

    with lmdb.open(tmp_path / "other", max_dbs=8) as env:
        table: Table[int, Any] = Table(
            env, "t", key=keys.uint32, value=FlatBuffers(b"table T { x: int; } root_type T;")
        )
        table[1] = {}
    with pytest.raises(Exception, match=r"other columns in .*other' than in the first environment"):
        frames.duckdb([several[0], tmp_path / "other"], "t").fetchall()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_dask_reads_several_environments(several: list[str]) -> None:
    """A partition for each, or for each range of keys; the index is the key where that is known to ascend."""
    from lmdb_bindings.tables import frames

    frame = frames.dask(several, "t")
    assert frame.npartitions == 3
    found = frame.compute(scheduler="threads")
    assert found["size"].tolist() == [*range(10)] * 3
    assert found["where"].tolist() == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert frames.dask(several, "t", ["size"], splits=[5]).npartitions == 6
    divided = frames.dask(several[0], "t", splits=[3, 6])
    assert divided.divisions == (0, 3, 6, 9)
    assert divided.loc[2:4].compute(scheduler="threads")["size"].tolist() == [2, 3, 4]
    assert divided["size"].sum().compute(scheduler="threads") == 45
    with lmdb.open(several[0], max_dbs=8) as env:
        assert len(frames.dask(env, "t").compute(scheduler="threads")) == 10
        for splits in ([6, 3], [3, 3]):  # records would be counted twice
            with pytest.raises(ValueError, match=r"keys, each larger than the one before"):
                frames.dask(env, "t", splits=splits)


DISTRIBUTED = """
import sys
from lmdb_bindings.tables import frames
if __name__ == "__main__":
    frame = frames.dask(sys.argv[1:], "t", splits=[5])
    print(frame["size"].sum().compute(scheduler="processes", num_workers=2))
"""


def test_dask_reads_in_other_processes(several: list[str], tmp_path: Path) -> None:
    """Each opens the environments itself."""
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(DISTRIBUTED)
    done = subprocess.run([sys.executable, script, *several], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "135"), done.stderr


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("pyarrow", "arrow", lambda table, _: table.to_arrow()),
        ("pandas", "pandas", lambda table, _: table.to_pandas()),
        ("polars", "polars", lambda table, _: table.to_polars()),
        ("duckdb", "duckdb", lambda table, frames: frames.duckdb(table.env, "rows")),
        ("dask.dataframe", "dask", lambda table, frames: frames.dask(table.env, "rows")),
    ],
)
def test_what_is_not_installed_is_named(
    table: Table[int, Any], monkeypatch: pytest.MonkeyPatch, module: str, extra: str, use: Callable[[Any, Any], Any]
) -> None:
    """With the extra to install."""
    from lmdb_bindings.tables import frames

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install lmdb-bindings\[{extra}\]"):
        use(table, frames)
