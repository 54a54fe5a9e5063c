"""The part of flatdb.h that moves whole tables, by ctypes, as the command needs it. Not for single records: the binding
reads those in place.

A failure is a FlatdbError. What a callback raises ends the call, and is raised again when the call is back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

from flatc_wheel import flatdb

TYPE_CHECKING = False  # see sharedlib_loader._runtime
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

BAD_SCHEMA, BAD_RECORD, BAD_JSON, BAD_KEY, NOT_CONFORM, BAD_TABLE, STOPPED, BAD_ARGUMENT = range(-30500, -30508, -1)
MDB_NOSUBDIR, MDB_RDONLY = 0x4000, 0x20000
DUPLICATES = {"refuse": 0, "replace": 1, "keep": 2}


class FlatdbError(Exception):
    """What libflatdb says of a failure.

    Attributes:
        code: one of the codes above, a code of LMDB (below 0), or an errno (above 0).
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> tuple[type[FlatdbError], tuple[int, str]]:
        return type(self), (self.code, str(self))


class _Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char * 2048)]


class _Bytes(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Counts(ctypes.Structure):
    """How much was done: records, bytes, and of an import what became of them. See flatdb_counts."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("records", "bytes", "total", "replaced", "kept", "bad", "resumed")
    ]  # fmt: skip

    records: int
    bytes: int
    total: int
    replaced: int
    kept: int
    bad: int
    resumed: int


_PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Counts))
_PROBLEM = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)


class _ImportOptions(ctypes.Structure):
    _fields_ = [
        ("table", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("schema", ctypes.c_void_p),
        ("key", ctypes.c_char_p),
        ("indexes", ctypes.POINTER(ctypes.c_char_p)),
        ("duplicates", ctypes.c_uint),
        ("skip_bad", ctypes.c_int),
        ("skip_unknown", ctypes.c_int),
        ("restart", ctypes.c_int),
        ("batch", ctypes.c_uint64),
        ("progress", _PROGRESS),
        ("problem", _PROBLEM),
        ("context", ctypes.c_void_p),
    ]


class _ExportOptions(ctypes.Structure):
    _fields_ = [
        ("table", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("lower", ctypes.c_char_p),
        ("upper", ctypes.c_char_p),
        ("index", ctypes.c_char_p),
        ("limit", ctypes.c_uint64),
        ("array", ctypes.c_int),
        ("progress", _PROGRESS),
        ("context", ctypes.c_void_p),
    ]


_POINTER, _TEXT, _ERROR = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Error)
# Functions that return a code and take an error last: what they take before it.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "flatdb_open": (_TEXT, ctypes.c_uint, ctypes.c_size_t, ctypes.POINTER(_POINTER)),
    "flatdb_schema_new": (_TEXT, ctypes.c_size_t, _TEXT, ctypes.POINTER(_TEXT), _TEXT, ctypes.POINTER(_POINTER)),
    "flatdb_import": (_POINTER, ctypes.POINTER(_ImportOptions), ctypes.POINTER(Counts)),
    "flatdb_export": (_POINTER, ctypes.POINTER(_ExportOptions), ctypes.POINTER(Counts)),
    "flatdb_lookup": (_POINTER, _TEXT, _TEXT, _TEXT, ctypes.POINTER(_Bytes)),
    "flatdb_stat": (_POINTER, _TEXT, ctypes.POINTER(_Bytes)),
    "flatdb_check": (_POINTER, _TEXT, _PROGRESS, _PROBLEM, _POINTER, ctypes.POINTER(Counts)),
    "flatdb_reindex": (_POINTER, _TEXT, _TEXT, _PROGRESS, _POINTER, ctypes.POINTER(Counts)),
}


def _text(string: str | None) -> bytes | None:
    """As UTF-8; bytes of the command line that are none come back as they were."""
    return None if string is None else string.encode("utf-8", "surrogateescape")


class _Callbacks:
    """Python's functions as C's; what they raise is kept, since no exception crosses C."""

    def __init__(
        self, progress: Callable[[Counts], object] | None, problem: Callable[[str, str], object] | None = None
    ) -> None:
        self.raised: BaseException | None = None
        self.progress = (
            _PROGRESS() if progress is None else _PROGRESS(lambda _, counts: self._call(progress, counts[0]))
        )
        self.problem = _PROBLEM() if problem is None else _PROBLEM(
            lambda _, key, text: self._call(problem, key.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
        )  # fmt: skip

    def _call(self, function: Callable[..., object], *arguments: object) -> int:
        try:
            return int(bool(function(*arguments)))
        except BaseException as error:  # noqa: BLE001 (also an interrupt: it is raised again behind C)
            self.raised = error
            return 1


class Library:
    """libflatdb over one engine."""

    def __init__(self, engine: str) -> None:
        record = flatdb.load(engine)
        self._library = ctypes.CDLL(os.fspath(record.path), handle=record.handle)
        for name, arguments in _ARGUMENTS.items():
            function = getattr(self._library, name)
            function.argtypes = [*arguments, _ERROR]
            function.restype = ctypes.c_int
        for name in ("flatdb_close", "flatdb_schema_free", "flatdb_free"):
            getattr(self._library, name).argtypes = [_POINTER]
            getattr(self._library, name).restype = None

    def call(self, name: str, *arguments: object, callbacks: _Callbacks | None = None) -> None:
        error = _Error()
        code = getattr(self._library, name)(*arguments, ctypes.byref(error))
        if callbacks is not None and callbacks.raised is not None:
            raise callbacks.raised
        if code != 0:
            raise FlatdbError(code, error.text.decode("utf-8", "replace"))

    def text(self, name: str, *arguments: object) -> str:
        """The text that a function hands over."""
        given = _Bytes()
        self.call(name, *arguments, ctypes.byref(given))
        try:
            return ctypes.string_at(given.data, given.size).decode("utf-8", "replace")
        finally:
            self._library.flatdb_free(given.data)

    @contextlib.contextmanager
    def open(self, path: str, *, flags: int = 0, map_size: int = 0) -> Iterator[Environment]:
        env = _POINTER()
        self.call("flatdb_open", os.fsencode(path), flags, map_size, ctypes.byref(env))
        try:
            yield Environment(self, env)
        finally:
            self._library.flatdb_close(env)

    @contextlib.contextmanager
    def schema(self, path: str, include: Sequence[str] = (), root: str | None = None) -> Iterator[ctypes.c_void_p]:
        """A schema from a file, ``.fbs`` or ``.bfbs``."""
        with open(path, "rb") as file:
            data = file.read()
        folders = (ctypes.c_char_p * (len(include) + 1))(*map(os.fsencode, include), None)
        schema = _POINTER()
        self.call("flatdb_schema_new", data, len(data), os.fsencode(path), folders, _text(root), ctypes.byref(schema))
        try:
            yield schema
        finally:
            self._library.flatdb_schema_free(schema)


class Environment:
    """An open environment. Each function is the one of flatdb.h by its name."""

    def __init__(self, library: Library, env: ctypes.c_void_p) -> None:
        self._library, self._env = library, env

    def import_(
        self,
        table: str,
        file: str,
        *,
        counts: Counts,
        schema: ctypes.c_void_p | None = None,
        key: str | None = None,
        indexes: Sequence[str] | None = None,
        on_duplicate: str = "refuse",
        skip_bad: bool = False,
        skip_unknown: bool = False,
        restart: bool = False,
        batch: int = 0,
        progress: Callable[[Counts], object] | None = None,
        problem: Callable[[str, str], object] | None = None,
    ) -> None:
        callbacks = _Callbacks(progress, problem)
        options = _ImportOptions(
            table=_text(table),
            file=os.fsencode(file),
            schema=schema,
            key=_text(key),
            indexes=None if indexes is None else (ctypes.c_char_p * (len(indexes) + 1))(*map(_text, indexes), None),
            duplicates=DUPLICATES[on_duplicate],
            skip_bad=skip_bad,
            skip_unknown=skip_unknown,
            restart=restart,
            batch=batch,
            progress=callbacks.progress,
            problem=callbacks.problem,
        )
        self._call("flatdb_import", ctypes.byref(options), ctypes.byref(counts), callbacks=callbacks)

    def export(
        self,
        table: str,
        file: str,
        *,
        counts: Counts,
        lower: str | None = None,
        upper: str | None = None,
        index: str | None = None,
        limit: int = 0,
        array: bool = False,
        progress: Callable[[Counts], object] | None = None,
    ) -> None:
        callbacks = _Callbacks(progress)
        options = _ExportOptions(
            table=_text(table),
            file=os.fsencode(file),
            lower=_text(lower),
            upper=_text(upper),
            index=_text(index),
            limit=limit,
            array=array,
            progress=callbacks.progress,
        )
        self._call("flatdb_export", ctypes.byref(options), ctypes.byref(counts), callbacks=callbacks)

    def lookup(self, table: str, key: str, *, index: str | None = None) -> str:
        return self._library.text("flatdb_lookup", self._env, _text(table), _text(index), _text(key))

    def stat(self, table: str | None = None) -> str:
        return self._library.text("flatdb_stat", self._env, _text(table))

    def check(
        self,
        table: str,
        *,
        counts: Counts,
        progress: Callable[[Counts], object] | None = None,
        problem: Callable[[str, str], object] | None = None,
    ) -> None:
        callbacks = _Callbacks(progress, problem)
        arguments = (_text(table), callbacks.progress, callbacks.problem, None, ctypes.byref(counts))
        self._call("flatdb_check", *arguments, callbacks=callbacks)

    def reindex(
        self,
        table: str,
        index: str | None = None,
        *,
        counts: Counts,
        progress: Callable[[Counts], object] | None = None,
    ) -> None:
        callbacks = _Callbacks(progress)
        arguments = (_text(table), _text(index), callbacks.progress, None, ctypes.byref(counts))
        self._call("flatdb_reindex", *arguments, callbacks=callbacks)

    def _call(self, name: str, *arguments: object, callbacks: _Callbacks) -> None:
        self._library.call(name, self._env, *arguments, callbacks=callbacks)
