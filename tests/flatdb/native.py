"""libflatdb's functions for one record, by ctypes: what the tests call, and the campaign with damaged bytes.

A failure of the library is :class:`FlatdbError`, with its code.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

BAD_SCHEMA, BAD_RECORD, BAD_JSON, BAD_KEY, NOT_CONFORM, BAD_TABLE, STOPPED, BAD_ARGUMENT = range(-30500, -30508, -1)


class FlatdbError(Exception):
    """What a function has said.

    Attributes:
        code: what it has returned.
        index: of the record that a batch failed at.
    """

    def __init__(self, code: int, text: str, index: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.index = index


class _Error(ctypes.Structure):
    _fields_ = (("code", ctypes.c_int), ("text", ctypes.c_char * 2048))


class _Bytes(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Value(ctypes.Structure):  # MDB_val
    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


class ArrowSchema(ctypes.Structure):
    """The struct of Arrow's C data interface."""

    _fields_ = (
        ("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_char_p), ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64), ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p), ("private_data", ctypes.c_void_p),
    )  # fmt: skip


class ArrowArray(ctypes.Structure):
    """The struct of Arrow's C data interface."""

    _fields_ = (
        ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64), ("n_children", ctypes.c_int64), ("buffers", ctypes.c_void_p),
        ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p), ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )  # fmt: skip


def release(struct: ArrowSchema | ArrowArray) -> None:
    """Give a struct back, as a consumer does."""
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(struct.release)(ctypes.addressof(struct))
    assert struct.release is None, "a released struct says so"


class Library:
    """The functions of a loaded libflatdb.

    Args:
        functions: the library; what its functions take is set here.
    """

    def __init__(self, functions: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        takes: dict[str, tuple[Any, ...]] = {
            "schema_new": (pointer, size, ctypes.c_char_p, pointer, ctypes.c_char_p, pointer, pointer),
            "schema_free": (pointer,),
            "schema_binary": (pointer, pointer),
            "schema_root": (pointer,),
            "schema_conform": (pointer, pointer, pointer),
            "verify": (pointer, pointer, size, pointer),
            "to_json": (pointer, pointer, size, pointer, pointer),
            "from_json": (pointer, pointer, size, pointer, pointer),
            "columns_new": (pointer, pointer, size, ctypes.c_char_p, pointer, pointer),
            "columns_free": (pointer,),
            "columns_schema": (pointer, pointer, pointer),
            "columns_decode": (pointer, pointer, pointer, pointer, pointer, pointer),
            "free": (pointer,),
        }
        for name, arguments in takes.items():
            getattr(functions, f"flatdb_{name}").argtypes = arguments
        functions.flatdb_schema_binary.restype = pointer
        functions.flatdb_schema_root.restype = ctypes.c_char_p
        self.functions = functions

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a code, with an error of its own."""
        error = _Error()
        code = getattr(self.functions, f"flatdb_{name}")(*arguments, ctypes.byref(error))
        if code:
            assert error.code == code
            raise FlatdbError(code, error.text.decode())

    def schema(
        self, data: str | bytes, *, file: str | None = None, include: Sequence[str] = (), root: str | None = None
    ) -> Schema:
        """Read a schema, text or binary."""
        return Schema(self, data.encode() if isinstance(data, str) else data, file, include, root)


class Schema:
    """A schema: records checked, and to and from JSON, by it."""

    def __init__(
        self, library: Library, data: bytes, file: str | None, include: Sequence[str], root: str | None
    ) -> None:
        self.library = library
        self.handle = ctypes.c_void_p()
        folders = (ctypes.c_char_p * (len(include) + 1))(*map(str.encode, include), None)
        library.call("schema_new", exact(data), len(data), file and file.encode(), folders, root and root.encode(),
                     ctypes.byref(self.handle))  # fmt: skip

    def __del__(self) -> None:
        if self.handle:
            self.library.functions.flatdb_schema_free(self.handle)

    @property
    def binary(self) -> bytes:
        size = ctypes.c_size_t()
        data = self.library.functions.flatdb_schema_binary(self.handle, ctypes.byref(size))
        return ctypes.string_at(data, size.value)

    @property
    def root(self) -> str:
        name: bytes = self.library.functions.flatdb_schema_root(self.handle)
        return name.decode()

    def conform(self, older: Schema) -> None:
        self.library.call("schema_conform", self.handle, older.handle)

    def verify(self, record: bytes) -> None:
        self.library.call("verify", self.handle, exact(record), len(record))

    def to_json(self, record: bytes) -> str:
        return self._made("to_json", record).decode()

    def from_json(self, text: str | bytes) -> bytes:
        return self._made("from_json", text.encode() if isinstance(text, str) else text)

    def columns(self, *paths: str, key: str | None = None) -> Columns:
        """A decoder of these fields; of all where none are given."""
        return Columns(self, paths, key)

    def _made(self, function: str, data: bytes) -> bytes:
        made = _Bytes()
        self.library.call(function, self.handle, exact(data), len(data), ctypes.byref(made))
        try:
            return ctypes.string_at(made.data, made.size)
        finally:
            self.library.functions.flatdb_free(made.data)


class Columns:
    """A decoder of records to Arrow."""

    def __init__(self, schema: Schema, paths: Sequence[str], key: str | None) -> None:
        self.library = schema.library
        self.schema = schema
        self.handle = ctypes.c_void_p()
        names = (ctypes.c_char_p * len(paths))(*map(str.encode, paths))
        self.library.call("columns_new", schema.handle, names, len(paths), key and key.encode(),
                          ctypes.byref(self.handle))  # fmt: skip

    def __del__(self) -> None:
        if self.handle:
            self.library.functions.flatdb_columns_free(self.handle)

    def arrow_schema(self) -> ArrowSchema:
        made = ArrowSchema()
        self.library.call("columns_schema", self.handle, ctypes.byref(made))
        return made

    def arrow_array(self, records: Sequence[bytes], keys: Sequence[bytes] | None = None) -> ArrowArray:
        """A batch, to be released; FlatdbError has the index of the record that is wrong."""
        made = ArrowArray()
        count = ctypes.c_size_t(len(records))
        try:
            self.library.call("columns_decode", self.handle, keys and _values(keys), _values(records),
                              ctypes.byref(count), ctypes.byref(made))  # fmt: skip
        except FlatdbError as problem:
            assert not made.release, "nothing is handed out where something failed"
            raise FlatdbError(problem.code, str(problem), count.value) from None
        return made

    def batch(self, records: Sequence[bytes], keys: Sequence[bytes] | None = None) -> Any:
        """A batch as pyarrow's, which checks all of it."""
        import pyarrow as pa

        array, schema = self.arrow_array(records, keys), self.arrow_schema()
        batch = pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
        batch.validate(full=True)
        return batch

    def rows(self, records: Sequence[bytes], keys: Sequence[bytes] | None = None) -> list[dict[str, Any]]:
        """A batch as Python's values."""
        rows: list[dict[str, Any]] = self.batch(records, keys).to_pylist()
        return rows


def exact(data: bytes) -> Any:
    """A copy that ends where the data does, so that a sanitizer sees what is read past its end."""
    return ctypes.create_string_buffer(data, max(len(data), 1))


def _values(items: Sequence[bytes]) -> Any:
    """An array of MDB_val, which keeps the bytes alive."""
    array = (_Value * len(items))()
    array.items = [exact(item) for item in items]
    for value, item, buffer in zip(array, items, array.items, strict=True):
        value.size = len(item)
        value.data = ctypes.addressof(buffer)
    return array
