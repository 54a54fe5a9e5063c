"""Damaged bytes: some hundreds of the campaign's inputs, with the library as it is installed; and what is left in memory."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flatdb import everything as every
from tests.flatdb import native
from tests.flatdb.native import BAD_RECORD, FlatdbError, Library, Schema, release

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("engine", ["0.9", "1.0"])
def test_damaged_bytes_are_refused_and_crash_nothing(python: Callable[..., str], engine: str) -> None:
    """In a process of its own, so that a crash is a failure of this test. Both results must be there: it would prove
    nothing if all were refused, or none.
    """
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.flatdb import damage; damage.main()"
    arguments = f"--engine {engine} --seed 7 --records 400 --texts 200 --schemas 600 --checks 1 --reads 1".split()
    counts = json.loads(python(script, ROOT, *arguments))
    for function, refused in {
        "verify": "BAD_RECORD", "to_json": "BAD_RECORD", "columns_decode": "BAD_RECORD", "from_json": "BAD_JSON",
        "schema_new of .fbs": "BAD_SCHEMA", "schema_new of .bfbs": "BAD_SCHEMA", "schema_conform": "NOT_CONFORM",
    }.items():  # fmt: skip
        assert counts[f"{function}: accepted"] > 2, function
        assert counts[f"{function}: {refused}"] > 2, function
    assert counts["check: damaged records"] > 50
    assert counts["read in place: refused"] > 50
    assert counts["read in place: read"] > 10


@pytest.mark.parametrize("shift", [1, 2, 3, 4, 6])
def test_records_may_be_at_any_address(everything: Schema, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    """LMDB's values begin at every even one."""
    text = """{"name":"a","f64":2.5,"longs":[1,2],"reals":[0.5],"points":[{"x":1,"y":2}],"note":{"id":"i"},"strings":["s"]}"""
    record = everything.from_json(text)
    made, rows = everything.to_json(record), everything.columns().rows([record])

    def shifted(data: bytes) -> object:
        room = bytearray(shift + 8) + data  # a bytearray's own address is aligned
        return (ctypes.c_char * len(data)).from_buffer(room, shift + 8)

    monkeypatch.setattr(native, "exact", shifted)
    everything.verify(record)
    assert everything.to_json(record) == made
    assert everything.columns().rows([record]) == rows == [every.row(json.loads(text))]
    assert everything.library.schema(everything.binary).binary == everything.binary


def test_every_truncation_of_a_record_is_refused(everything: Schema) -> None:
    """By each function that reads one, and the columns say which record it was."""
    record = everything.from_json('{"name":"a","ints":[1,2,3],"any_type":"Text","any":"text","point":{"x":1,"y":2}}')
    columns = everything.columns()
    for size in range(len(record) - 4):
        for read in (everything.verify, everything.to_json, lambda cut: columns.arrow_array([record, cut])):
            with pytest.raises(FlatdbError) as caught:
                read(record[:size])
            assert caught.value.code == BAD_RECORD
        assert caught.value.index == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is looked up in /proc")
def test_no_memory_is_left_behind(library: Library) -> None:
    """Neither by what works nor by what fails, in thousands of rounds of each."""

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def one_round() -> None:
        schema = library.schema(every.SCHEMA)
        schema.conform(library.schema(schema.binary))
        record = schema.from_json('{"name":"a","strings":["b","c"],"note":{"id":"i"}}')
        schema.to_json(record)
        columns = schema.columns(key="string")
        release(columns.arrow_schema())
        release(columns.arrow_array([record] * 20, [b"k"] * 20))
        for fails in (
            lambda: library.schema(schema.binary[:-9]),
            lambda: library.schema(every.SCHEMA.replace("Point:2", "Point:0")),
            lambda: schema.from_json('{"name":"a","strings":["b",'),
            lambda: schema.verify(record[:-9]),
            lambda: columns.arrow_array([record, record[:40]], [b"k"] * 2),
            lambda: schema.columns("name", "nope"),
        ):
            with pytest.raises(FlatdbError):
                fails()

    def rounds(count: int) -> None:
        for _ in range(count):
            one_round()

    rounds(100)
    before = pages()
    rounds(1000)
    assert (pages() - before) * 4096 < 2 << 20
