"""The environments open in this process, by their files, so that none is opened twice.

LMDB's locks are POSIX ``fcntl`` locks, which belong to the (process, file) pair: a second opening of one file would
share the locks of the first, and closing it would release them (lmdb.h, "Caveats"). A file is known by its device and
inode, since one file may have many paths; the data file and the lock file both count.
"""

from __future__ import annotations

import os
import threading

lock = threading.RLock()
"""Held from the question whether an environment is open to the moment that it is."""

_open: set[tuple[int, int]] = set()


def _forget() -> None:
    # A child of fork() has its own locks: none of the parent's environments is open in it.
    global lock
    lock = threading.RLock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

Keys = frozenset[tuple[int, int]]


def keys(*paths: str) -> Keys:
    """The identities of those of the files that exist."""
    found = set()
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue  # not made yet: no environment can have it open
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def is_open(identities: Keys) -> bool:
    """Whether any of the files belongs to an environment that is open here."""
    return not _open.isdisjoint(identities)


def add(identities: Keys) -> None:
    """Note the files of an environment that was opened."""
    _open.update(identities)


def remove(identities: Keys) -> None:
    """Forget the files of an environment that was closed."""
    with lock:
        _open.difference_update(identities)
