"""The one environment of a process: its threads close it under each other's hands, and open it again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import lmdb_bindings as lmdb
from tests.stress.content import DamageError

ENGINES = {"0.9": 0, "1.0": 1}
"""py-lmdb's lib_version=."""

FIRST_SIZE = 1 << 20
"""Bytes of the map at each opening: too few, so it is full soon, and is made larger."""

LARGEST = 1 << 31
"""Bytes: the campaign should never need so many."""


class SharedEnvironment:
    """An environment that is closed and opened again.

    Attributes:
        env: the environment; perhaps closed, until it is opened again.
        is_closed: it waits to be opened: then views must go.
        reader: a read transaction that all threads use; perhaps ended.
        writer: the write transaction of some thread, in which others look up; perhaps ended.
    """

    def __init__(self, path: Path, engine: str) -> None:
        self._options: dict[str, Any] = dict(
            path=path, lib_version=ENGINES[engine], map_size=FIRST_SIZE, max_dbs=32, max_readers=2000,
            max_spare_txns=4, sync=False,
        )  # fmt: skip
        self._reopening = threading.Lock()
        self.is_closed = False
        self.reader: Any = None
        self.writer: Any = None
        self.env = lmdb.open(**self._options)

    def grow(self) -> None:
        """Make the map twice as large as what is used, and a little larger."""
        env = self.env
        size = (env.info()["last_pgno"] + 1) * env.stat()["psize"] * 2 + FIRST_SIZE
        if size > LARGEST:
            raise DamageError(f"the map would need {size} bytes")
        env.set_mapsize(size)

    def reopen(self) -> bool:
        """Close it, and open it again; False where another thread does."""
        if not self._reopening.acquire(blocking=False):
            return False
        try:
            self.env.close()
            self.is_closed = True
            until = time.monotonic() + 30
            while True:
                try:
                    self.env = lmdb.open(**self._options)
                except lmdb.Error as problem:  # noqa: PERF203 (rare)
                    if "already open" not in str(problem) or time.monotonic() > until:
                        raise
                    time.sleep(0.001)  # until the views that others have are gone
                else:
                    return True
        finally:
            self.is_closed = False
            self._reopening.release()
