"""The size of an environment's map: with what it is opened, and how it is changed while the environment is open."""

from __future__ import annotations

import gc
import os
import sys
import time

from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import Error, MapFullError, MapResizedError, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lmdb_bindings._environment import Environment
    from lmdb_bindings._generic import T

_PATIENCE = 1.0
"""Seconds to wait for a writer before the map is resized."""


def sizes(env: Environment) -> list[int]:
    """The map sizes to try when it is opened, in bytes."""
    map_size = env._options["map_size"]
    if map_size != "auto":
        return [map_size]
    # Where the file gets as large as its map at once, the map is not much larger than what is there: so does the kernel
    # with writemap, and LMDB 0.9 on Windows, where disk space is taken for it.
    if env._options["writemap"] or sys.platform == "win32":
        try:
            return [max(1 << 30, 2 * os.path.getsize(env._files()[0]))]
        except OSError:
            pass
        return [1 << 30]
    return [1 << bits for bits in ((40, 38, 36, 34, 32, 30) if sys.maxsize > 1 << 32 else (30, 29, 28))]


def update(env: Environment, function: Callable[[Transaction[bytes]], T], most: int | None, timeout: float) -> T:
    """See :meth:`Environment.update`."""
    while True:
        try:
            with Transaction(env, write=True) as txn:
                return function(txn)
        except MapResizedError:  # noqa: PERF203 (not once a record)
            _resize(env, 0, timeout)
        except MapFullError:
            size = env.info()["map_size"]
            larger = 2 * size if most is None else min(2 * size, most)
            if larger <= size or larger > sys.maxsize // 2:
                raise
            _resize(env, larger, timeout)


def _resize(env: Environment, map_size: int, timeout: float) -> None:
    """Resize the map when there are no transactions."""
    until = time.monotonic() + timeout
    while not _resize_if_idle(env, map_size):
        if time.monotonic() > until:
            raise Error(
                f"The map is full, and cannot grow: {env._users()} transactions of this process are open, and "
                f"were for {timeout} seconds. End them, or give the environment a larger map_size."
            )
        time.sleep(0.001)


def _resize_if_idle(env: Environment, map_size: int) -> bool:
    env._live()
    with env._access.turn(), env._access.alone():
        env._live()
        if env._users():
            return False
        _resize_alone(env, map_size)
        return True


def set_mapsize(env: Environment, map_size: int) -> None:
    """See :meth:`Environment.set_mapsize`."""
    access = env._access
    env._live()
    if access.is_mine() or not access.take_turn(_PATIENCE):
        raise Error("Cannot set_mapsize while a write transaction is active")
    try:
        with access.alone():
            env._live()
            _refuse_views(env)
            env._end_transactions()
            _resize_alone(env, map_size)
    finally:
        access.pass_turn()


def _resize_alone(env: Environment, map_size: int) -> None:
    _refuse_views(env)
    env._abort_spare()
    if rc := env._engine.lib.mdb_env_set_mapsize(env._handle, map_size):
        env._end()  # LMDB has taken the old map away
        raise error("mdb_env_set_mapsize", rc)
    env._options["map_size"] = map_size


def _refuse_views(env: Environment) -> None:
    def are_there() -> bool:
        return bool(env._snapshots) or any(txn._views for txn in env._living())

    if are_there():
        gc.collect()  # some may be garbage
        if are_there():
            raise BufferError(
                "the map cannot move while memoryviews of it are alive: let go of what transactions with buffers=True "
                "have given"
            )
