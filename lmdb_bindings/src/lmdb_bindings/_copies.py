"""Copies of an environment while it is in use: of its files as they are, or compact. Also what LMDB copies wrongly."""

from __future__ import annotations

import errno
import os

from lmdb_bindings import _constants as c
from lmdb_bindings._engine import file_handle
from lmdb_bindings.errors import Error, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lmdb_bindings._environment import Environment
    from lmdb_bindings._transaction import Transaction


def copy(env: Environment, function: str, target: bytes | int, compact: bool, txn: Transaction | None) -> None:
    """Copy an environment.

    Args:
        env: the environment.
        function: ``mdb_env_copy`` or ``mdb_env_copyfd``.
        target: the path, or the descriptor.
        compact: leave out free pages.
        txn: the read transaction whose snapshot it is; None for the last commit.
    """
    # LMDB copies both snapshots otherwise, and the pages of the older one: the copy would be broken.
    compact = bool(compact or env._options["previous_snapshot"])
    flags = c.CP_COMPACT * compact
    if not compact:
        refuse_own_writer(env, "copy")
    if env._remapped:
        _refuse_remapped(env, compact)
        if compact and isinstance(target, bytes):  # LMDB writes past the system's cache there, from odd addresses
            _copy_to_file(env, function + "fd", target, txn)
            return
    if isinstance(target, int):
        target = file_handle(target)
    if txn is None:
        env._call(function + "2", target, flags)
        return
    if not compact:
        raise TypeError("txn argument only compatible with compact=True")
    if txn.env is not env:
        raise Error("The transaction belongs to another environment.")
    name = function + "3"
    if not hasattr(env._engine.lib, name):  # from a patch: a system's liblmdb lacks it
        raise TypeError("Non-patched LMDB doesn't support transaction with env.copy")
    with env._access, txn._lock:
        if rc := getattr(env._engine.lib, name)(env._live(), target, flags, txn._live()):
            raise error(name, rc)


def refuse_own_writer(env: Environment, what: str) -> None:
    """Refuse what makes LMDB wait for the writer, where that is this thread."""
    if env._access.is_mine():
        words = f"Attempt to {what} while a write transaction is active on the same thread. This would deadlock."
        raise error(words, errno.EBUSY)


def _refuse_remapped(env: Environment, compact: bool) -> None:
    """Refuse what LMDB 1.0.2 copies wrongly, or not at all, of an environment with checksums or encryption."""
    if compact and env._options["checksum"] is not None:
        raise Error("A compact copy of an environment with checksums could not be opened: copy it without compact.")
    from mmap import PAGESIZE

    if not compact and env.stat()["psize"] < PAGESIZE:
        raise Error(
            "LMDB cannot copy pages with checksums or encryption that are smaller than the system's: copy with "
            "compact=True, or migrate the records."
        )


def _copy_to_file(env: Environment, function: str, target: bytes, txn: Transaction | None) -> None:
    path = os.path.join(target, b"data.mdb") if env._options["subdir"] else target
    # Windows' C library would write two bytes for each that is a line's end; it inherits nothing unasked, like Python.
    binary: int = getattr(os, "O_BINARY", 0)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | binary, env._options["mode"] & ~0o111)
    try:
        copy(env, function, fd, True, txn)
    finally:
        os.close(fd)
