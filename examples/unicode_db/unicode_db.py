"""All assigned code points of ``unicodedata`` as FlatBuffers records in LMDB: written, read in place, searched.

Run in an environment that has lmdb-bindings and flatc-wheel::

    python unicode_db.py FOLDER

It makes one environment for each engine in FOLDER, each with two named databases: ``characters`` (code point as four
bytes, big-endian, to record) and ``by_name`` (name to code point). A line of JSON on stdout reports each step.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers

import flatc_wheel
import lmdb_bindings as lmdb

SCHEMA = Path(__file__).resolve().parent / "character.fbs"
MAP_SIZE = 1 << 28  # bytes; the file itself grows only as far as it is used


def code_points() -> Iterator[str]:
    """Every assigned character, in order; not surrogates, not private use."""
    every = map(chr, range(sys.maxunicode + 1))
    return (char for char in every if unicodedata.category(char) not in ("Cn", "Co", "Cs"))


def generated_code(folder: Path) -> ModuleType:
    """Compile the schema with the installed flatc, and import what it wrote."""
    flatc_wheel.check_versions()
    [file] = flatc_wheel.compile(SCHEMA, "python", folder, options=["--gen-onefile"])
    spec = importlib.util.spec_from_file_location("character_generated", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(builder: Any, fb: ModuleType, char: str) -> bytes:
    """One character as a finished FlatBuffer."""
    builder.Clear()
    name = unicodedata.name(char, "")
    decomposition = unicodedata.decomposition(char)
    numeric = unicodedata.numeric(char, None)
    strings = {
        fb.CharacterAddName: builder.CreateString(name) if name else None,
        fb.CharacterAddCategory: builder.CreateString(unicodedata.category(char)),
        fb.CharacterAddBidirectional: builder.CreateString(unicodedata.bidirectional(char)),
        fb.CharacterAddDecomposition: builder.CreateString(decomposition) if decomposition else None,
    }
    fb.CharacterStart(builder)
    fb.CharacterAddCodePoint(builder, ord(char))
    fb.CharacterAddCombining(builder, unicodedata.combining(char))
    if numeric is not None:
        fb.CharacterAddNumeric(builder, numeric)
    for add, offset in strings.items():
        if offset is not None:
            add(builder, offset)
    builder.Finish(fb.CharacterEnd(builder), b"UCHR")
    return bytes(builder.Output())


def write(path: Path, major: int, records: list[tuple[str, bytes]]) -> None:
    """Write all records, in one transaction, with the engine of LMDB ``major``."""
    with lmdb.open(path, map_size=MAP_SIZE, max_dbs=2, lib_version=major) as env:
        characters, by_name = env.open_db(b"characters"), env.open_db(b"by_name")
        with env.begin(write=True) as txn:
            for char, data in records:
                key = ord(char).to_bytes(4, "big")
                txn.put(key, data, append=True, db=characters)
                if name := unicodedata.name(char, ""):
                    txn.put(name.encode(), key, db=by_name)


def read(path: Path, fb: ModuleType) -> int:
    """Read every record in place, and compare each field with ``unicodedata``; the engine is found by the file."""
    count = 0
    with lmdb.open(path, readonly=True, max_dbs=2) as env, env.begin(buffers=True) as txn:
        for key, data in txn.cursor(env.open_db(b"characters", txn=txn)):
            found = fb.Character.GetRootAs(data)
            char = chr(int.from_bytes(key, "big"))
            same = (
                found.CodePoint() == ord(char)
                and (found.Name() or b"").decode() == unicodedata.name(char, "")
                and found.Category().decode() == unicodedata.category(char)
                and found.Combining() == unicodedata.combining(char)
                and found.Bidirectional().decode() == unicodedata.bidirectional(char)
                and (found.Decomposition() or b"").decode() == unicodedata.decomposition(char)
                and found.Numeric() == unicodedata.numeric(char, None)
            )
            if not same:
                raise SystemExit(f"the record of U+{ord(char):04X} differs from unicodedata")
            count += 1
    return count


def search(path: Path, prefix: str, fb: ModuleType) -> list[str]:
    """The characters whose names begin with ``prefix``, by name."""
    found = []
    with lmdb.open(path, readonly=True, max_dbs=2) as env, env.begin(buffers=True) as txn:
        characters, by_name = env.open_db(b"characters", txn=txn), env.open_db(b"by_name", txn=txn)
        cursor = txn.cursor(by_name)
        cursor.set_range(prefix.encode())
        for name, key in cursor:
            if not bytes(name).startswith(prefix.encode()):
                break
            found.append(chr(fb.Character.GetRootAs(txn.get(key, db=characters)).CodePoint()))
    return found


def report(step: str, start: float, records: int = 0, size: int = 0) -> None:
    seconds = time.monotonic() - start
    print(json.dumps({"step": step, "seconds": seconds, "records": records, "bytes": size}), flush=True)


def main(folder: Path) -> None:
    start = time.monotonic()
    fb = generated_code(folder)
    report("compile the schema", start)

    start, builder = time.monotonic(), flatbuffers.Builder(256)
    records = [(char, record(builder, fb, char)) for char in code_points()]
    size = sum(4 + len(data) for _, data in records)
    report("build the records", start, len(records), size)

    for engine, major in (("0.9", 0), ("1.0", 1)):
        path = folder / f"unicode-{engine}"
        start = time.monotonic()
        write(path, major, records)
        report(f"write, engine {engine}", start, len(records), size)
        start = time.monotonic()
        if (count := read(path, fb)) != len(records):
            raise SystemExit(f"{count} records read, {len(records)} written")
        report(f"read and compare, engine {engine}", start, count, size)
        start = time.monotonic()
        found = search(path, "GREEK SMALL LETTER ", fb)
        assert "α" in found
        assert all(unicodedata.name(char).startswith("GREEK SMALL LETTER ") for char in found)
        report(f"search by prefix, engine {engine}", start, len(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
