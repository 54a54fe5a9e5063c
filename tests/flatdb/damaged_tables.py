"""Damaged records in tables: checked by libflatdb, and read in place by lmdb_bindings.tables."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from random import Random
from typing import Any

import lmdb_bindings as lmdb
from lmdb_bindings.tables import DamagedError, Table, keys
from lmdb_bindings.tables.flatbuffers import FlatBuffers
from tests.flatdb.damage import Run, damaged
from tests.flatdb.native import FlatdbError, exact

RECORDS = 200
INDEXES = ("by_name=name", "by_point=point.x", "by_note=note.id,i8", "by_data=data:bytes")


class _ImportOptions(ctypes.Structure):
    _fields_ = (
        ("table", ctypes.c_char_p), ("file", ctypes.c_char_p), ("schema", ctypes.c_void_p), ("key", ctypes.c_char_p),
        ("indexes", ctypes.c_void_p), ("duplicates", ctypes.c_uint), ("skip_bad", ctypes.c_int),
        ("skip_unknown", ctypes.c_int), ("restart", ctypes.c_int), ("batch", ctypes.c_uint64),
        ("progress", ctypes.c_void_p), ("problem", ctypes.c_void_p), ("context", ctypes.c_void_p),
    )  # fmt: skip


class _Value(ctypes.Structure):  # MDB_val
    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


class Checked:
    """A table that libflatdb made, whose records are overwritten behind its back, and that it checks then."""

    _PROBLEM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)

    def __init__(self, run: Run, engine: ctypes.CDLL, folder: Path) -> None:
        self._run, self._engine = run, engine
        self._subject = run.subjects[0]
        self._env = ctypes.c_void_p()
        library = run.library
        library.functions.flatdb_open.argtypes = [
            ctypes.c_char_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        (folder / "checked").mkdir()
        library.call("open", os.fsencode(folder / "checked"), 0, 1 << 24, ctypes.byref(self._env))
        source = folder / "records.json"
        jsons = self._subject.jsons
        source.write_text("\n".join(jsons[n % len(jsons)] for n in range(RECORDS)), encoding="utf-8")
        indexes = (ctypes.c_char_p * (len(INDEXES) + 1))(*map(str.encode, INDEXES), None)
        options = _ImportOptions(
            table=b"t", file=os.fsencode(source), schema=self._subject.schema.handle, indexes=ctypes.addressof(indexes)
        )
        counts = (ctypes.c_uint64 * 7)()
        library.call("import", self._env, ctypes.byref(options), counts)
        assert counts[0] == RECORDS

    def round(self, random: Random) -> None:
        """Overwrite all records, and check the table."""
        transaction, dbi = ctypes.c_void_p(), ctypes.c_uint()
        self._do("mdb_txn_begin", self._env, None, 0, ctypes.byref(transaction))
        self._do("mdb_dbi_open", transaction, b"t", 0, ctypes.byref(dbi))
        bad = 0
        for number in range(1, RECORDS + 1):
            value = damaged(random.choice(self._subject.records), random, self._subject.records)
            bad += not _verified(self._subject.schema, value)
            buffers = exact(struct.pack(">Q", number)), exact(value)
            key, data = _Value(8, ctypes.addressof(buffers[0])), _Value(len(value), ctypes.addressof(buffers[1]))
            self._do("mdb_put", transaction, dbi, ctypes.byref(key), ctypes.byref(data), 0)
        self._do("mdb_txn_commit", transaction)

        said: list[bytes] = []
        problem = self._PROBLEM(lambda _context, _key, text: bool(said.append(text)))
        counts = (ctypes.c_uint64 * 7)()
        self._run.library.call("check", self._env, b"t", None, problem, None, counts)
        assert counts[0] == RECORDS
        assert counts[5] == len(said) >= bad
        self._run.counts["check: records"] += RECORDS
        self._run.counts["check: damaged records"] += bad
        self._run.counts["check: problems, with indexes"] += len(said)

    def _do(self, function: str, *arguments: Any) -> None:
        code = getattr(self._engine, function)(*arguments)
        assert code == 0, f"{function}: {code}"


class Read:
    """Tables of the binding's, whose records are overwritten as plain values, and that it reads then."""

    def __init__(self, run: Run, engine: str, folder: Path) -> None:
        self._run = run
        self._env = lmdb.open(folder / "read", lib_version=int(engine != "0.9"), max_dbs=8, map_size=1 << 26)
        self._tables = [
            Table(self._env, f"t{number}", key=keys.uint16, value=FlatBuffers(subject.text.encode()))
            for number, subject in enumerate(run.subjects)
        ]

    def round(self, random: Random) -> None:
        """Overwrite a table, and take every value of every record."""
        number = random.randrange(len(self._tables))
        table, subject = self._tables[number], self._run.subjects[number]
        good = {}
        with self._env.begin(write=True, db=self._env.open_db(f"t{number}".encode())) as txn:
            for key in range(RECORDS):
                value = damaged(random.choice(subject.records), random, subject.records)
                good[key] = _verified(subject.schema, value)
                txn.put(struct.pack(">H", key), value)
        with table.begin() as snapshot:
            for key in range(RECORDS):
                self._read(snapshot, key, good[key])

    def _read(self, snapshot: Any, key: int, good: bool) -> None:
        try:
            snapshot[key].to_dict()
        except DamagedError as problem:
            if good and "UTF-8" not in str(problem):
                raise
            self._run.counts["read in place: refused"] += 1
            return
        assert good, f"record {key} is read, and it is damaged"
        self._run.counts["read in place: read"] += 1


def _verified(schema: Any, value: bytes) -> bool:
    try:
        schema.verify(value)
    except FlatdbError:
        return False
    return True
