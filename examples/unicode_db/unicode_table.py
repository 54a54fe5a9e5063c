"""All assigned code points as a table: imported from a file by ``flatdb``, found by indexes, read by Python and by C.

Run in an environment that has lmdb-bindings and flatc-wheel::

    python unicode_table.py FOLDER READER

READER is ``examples/table_reader``, compiled as a shared library. It makes FOLDER/characters.ndjson and the environment
FOLDER/tables, with one table, ``characters``, and two indexes. A line of JSON on stdout reports each step. Then, where
pyarrow is::

    python unicode_table.py FOLDER
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb_bindings as lmdb
from lmdb_bindings.tables import Table

SCHEMA = Path(__file__).resolve().parent / "character.fbs"


def code_points() -> Iterator[dict[str, Any]]:
    """Every assigned character in order, as the schema has it; not surrogates, not private use."""
    for number in range(sys.maxunicode + 1):
        char = chr(number)
        category = unicodedata.category(char)
        if category in ("Cn", "Co", "Cs"):
            continue
        fields = {
            "name": unicodedata.name(char, None),
            "category": category,
            "combining": unicodedata.combining(char),
            "bidirectional": unicodedata.bidirectional(char),
            "decomposition": unicodedata.decomposition(char) or None,
            "numeric": unicodedata.numeric(char, None),
        }
        yield {"code_point": number, **{name: value for name, value in fields.items() if value is not None}}


def write(file: Path) -> int:
    """Write one record of JSON a line."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in code_points()]
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return len(lines)


def import_(file: Path, database: Path) -> None:
    """What ``flatdb import`` does on the command line."""
    command = [sys.executable, "-m", "flatc_wheel.flatdb", "import", str(database), "characters", str(file),
               "--schema", str(SCHEMA), "--key", "code_point",
               "--index", "by_name=name", "--index", "by_category=category", "--quiet"]  # fmt: skip
    subprocess.run(command, check=True)


def search(characters: Table[Any, Any]) -> dict[str, list[int]]:
    """The code points whose names begin with a word, and those of a category, each by its index."""
    return {
        "names beginning with GREEK SMALL": list(characters.by("by_name").prefix("GREEK SMALL").keys()),
        "category Nd": list(characters.by("by_category")["Nd"].keys()),
    }


class Value(ctypes.Structure):
    """LMDB's ``MDB_val``."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


class Bytes(ctypes.Structure):
    """libflatdb's ``flatdb_bytes``."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


def read_natively(reader: Any, transaction: int, number: int) -> dict[str, Any]:
    """A record as the C code has it, in a transaction that Python began."""
    record, text, error = Value(), Bytes(), ctypes.create_string_buffer(4096)
    arguments = (ctypes.c_void_p(transaction), b"characters", number)
    if reader.read_record(*arguments, ctypes.byref(record), ctypes.byref(text), error):
        raise SystemExit(f"U+{number:04X}: {error.raw[4:].partition(bytes(1))[0].decode()}")
    found: dict[str, Any] = json.loads(ctypes.string_at(text.data, text.size))
    return found


def compare(env: lmdb.Environment, characters: Table[Any, Any], file: Path, numbers: list[int]) -> int:
    """Read records on one snapshot by Python and by C, each in place; they must be the same. Gives how many."""
    reader = ctypes.CDLL(str(file))  # it needs liblmdb.so.0 and libflatdb.so.0: these are loaded
    with env.begin() as txn:
        snapshot = characters.within(txn)
        for number in numbers:
            record = snapshot[number]
            native = read_natively(reader, txn.address(), number)
            mine = {name: getattr(record, name) for name in native}
            if mine != native or record.name != native.get("name"):
                raise SystemExit(f"U+{number:04X} is {native} for C, and {mine} for Python")
    return len(numbers)


def report(step: str, start: float, records: int, size: int = 0) -> None:
    seconds = time.monotonic() - start
    print(json.dumps({"step": step, "records": records, "bytes": size, "seconds": seconds}), flush=True)


def main(folder: Path, reader: Path) -> None:
    file, database = folder / "characters.ndjson", folder / "tables"
    start = time.monotonic()
    count = write(file)
    report("write NDJSON", start, count, file.stat().st_size)
    start = time.monotonic()
    import_(file, database)
    report("flatdb import, with two indexes", start, count, file.stat().st_size)
    with lmdb.open(database, readonly=True, max_dbs=4) as env:
        characters: Table[Any, Any] = Table(env, "characters")
        if len(characters) != count:
            raise SystemExit(f"{count} records were written, and the table has {len(characters)}")
        start = time.monotonic()
        found = search(characters)
        report("query by two indexes", start, sum(map(len, found.values())))
        start = time.monotonic()
        same = compare(env, characters, reader, found["names beginning with GREEK SMALL"])
        report("read by C and by Python on one snapshot", start, same)


def export(folder: Path) -> None:
    """Hand the whole table over to Arrow."""
    with lmdb.open(folder / "tables", readonly=True, max_dbs=4) as env:
        start = time.monotonic()
        table = Table[Any, Any](env, "characters").to_arrow()
        report("to Arrow, all columns", start, len(table), table.nbytes)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        export(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
