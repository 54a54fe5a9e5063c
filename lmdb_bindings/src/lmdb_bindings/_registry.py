"""The environments open in this process, by their files, so that none is opened twice.

LMDB's locks are POSIX ``fcntl`` locks, which belong to the (process, file) pair: a second opening of one file would
share the locks of the first, and closing it would release them (lmdb.h, "Caveats"). A file is known by its device and
inode, since one file may have many paths; the data file and the lock file both count.
"""

from __future__ import annotations

import os
from _weakref import ref

from lmdb_bindings._token import TokenLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lmdb_bindings._environment import Environment

lock = TokenLock()
"""Held from the question whether an environment is open to the moment that it is."""

Keys = frozenset[tuple[int, int]]

_open: dict[tuple[int, int], ref[Environment]] = {}


def _after_fork() -> None:
    # A child of fork() has its own locks: none of the parent's environments is open in it.
    global lock
    lock = TokenLock()
    inherited = {reference() for reference in _open.values()}
    _open.clear()
    for environment in inherited:
        if environment is not None:
            environment._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
    return not _open.keys().isdisjoint(identities)


def find(identities: Keys) -> Environment | None:
    """The environment that has any of the files open here."""
    found = [_open[identity]() for identity in identities & _open.keys()]
    return found[0] if found else None


def add(identities: Keys, environment: Environment) -> None:
    """Note the files of an environment that was opened."""
    _open.update(dict.fromkeys(identities, ref(environment)))


def remove(identities: Keys) -> None:
    """Forget the files of an environment that was closed."""
    with lock:
        for identity in identities:
            _open.pop(identity, None)
