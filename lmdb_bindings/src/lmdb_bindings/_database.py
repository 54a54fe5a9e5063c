"""The handle of a database in an environment: the main one or a named one."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from lmdb_bindings import _constants as c
from lmdb_bindings._abi import ffi
from lmdb_bindings.errors import error

if TYPE_CHECKING:
    from lmdb_bindings._environment import Environment
    from lmdb_bindings._transaction import Transaction


class _Database:
    """A database handle; made by :meth:`Environment.open_db`, never by hand."""

    __slots__ = ("_dbi", "_env", "_flags", "_name")

    def __init__(self, env: Environment, txn: Transaction, name: bytes | None, flags: int) -> None:
        lib = env._engine.lib
        dbi = ffi.new("MDB_dbi *")
        if rc := lib.mdb_dbi_open(txn._live(), ffi.NULL if name is None else name, flags, dbi):
            raise error("mdb_dbi_open", rc)
        actual = ffi.new("unsigned int *")
        if rc := lib.mdb_dbi_flags(txn._live(), dbi[0], actual):
            raise error("mdb_dbi_flags", rc)
        self._env = weakref.ref(env)  # which keeps the main one: a cycle would keep it open until it is collected
        self._name = name
        self._dbi: int | None = dbi[0]
        self._flags: int = actual[0]

    def flags(self) -> dict[str, bool]:
        """What the database was made with, as the keyword arguments of :meth:`Environment.open_db`."""
        return {
            "reverse_key": bool(self._flags & c.REVERSEKEY),
            "dupsort": bool(self._flags & c.DUPSORT),
            "integerkey": bool(self._flags & c.INTEGERKEY),
            "integerdup": bool(self._flags & c.INTEGERDUP),
            "dupfixed": bool(self._flags & c.DUPFIXED),
        }
