"""The paths that records can take, all in one process.

As CPython does it (single ones by built-in methods, many by the bulk library); by the bulk library alone, as CPython or
as PyPy does it; and without it, in Python. An engine takes one of them for the transactions that begin from then on.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from lmdb_bindings import _bulk, _columns, _engine, _plain, _streams

PATHS: dict[str, tuple[bool, Any]] = {
    "fast": (True, _streams),
    "bulk": (False, _streams),
    "columns": (False, _columns),
    "plain": (False, None),
}


class Means(NamedTuple):
    """What an engine works with."""

    bulk: Any
    fast: Any
    records: Any

    @classmethod
    def of(cls, engine: _engine.Engine) -> Means:
        return cls(engine.bulk, engine.fast, engine.records)

    def use(self, engine: _engine.Engine) -> None:
        engine.bulk, engine.fast, engine.records = self

    def path(self, name: str, engine: _engine.Engine) -> Means | str:
        """Those of a path, where these are all that there are; or why it cannot be taken here."""
        wants_fast, exchange = PATHS[name]
        if (wants_fast and self.fast is None) or (exchange is not None and self.bulk is None):
            return "not on this interpreter, or a switch says so"
        if exchange is _streams and sys.implementation.name != "cpython":
            return "by C code of CPython's standard library"
        return Means(
            None if exchange is None else _bulk.Library(self.bulk.lib, engine.lib, exchange),
            self.fast if wants_fast else None,
            _plain if exchange is None else _bulk,
        )


def engine_of(lib_version: int) -> _engine.Engine:
    """The engine of py-lmdb's ``lib_version``."""
    return _engine.engine("1.0" if lib_version else "0.9")
