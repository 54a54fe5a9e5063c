"""The handle of a database in an environment: the main one or a named one."""

from __future__ import annotations

from _weakref import ref

from lmdb_bindings import _constants as c
from lmdb_bindings import _fast
from lmdb_bindings._abi import ffi
from lmdb_bindings.errors import at_record, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypedDict

    from lmdb_bindings._environment import Environment
    from lmdb_bindings._transaction import Transaction

    class DatabaseFlags(TypedDict):
        """What :meth:`_Database.flags` gives."""

        reverse_key: bool
        dupsort: bool
        integerkey: bool
        integerdup: bool
        dupfixed: bool


CLOSED = -1
"""The number of a handle that is closed."""


class _Database(_fast.DatabaseBase):
    """A database handle; made by :meth:`Environment.open_db`, never by hand."""

    __slots__ = ("_env", "_name", "_pending")

    def __init__(self, env: Environment, name: bytes | None) -> None:
        self._env = ref(env)  # which keeps the main one: a cycle would keep it open until it is collected
        self._name = name
        self._home = env._number
        self._dbi = CLOSED
        self._flags = 0
        self._pending: Transaction | None = None  # what has opened it, while that has not ended

    def _open(self, lib: Any, txn: Any, flags: int) -> None:
        """Open the handle in a transaction of LMDB's."""
        dbi = ffi.new("MDB_dbi *")
        if rc := lib.mdb_dbi_open(txn, ffi.NULL if self._name is None else self._name, flags, dbi):
            raise error("mdb_dbi_open", rc)
        actual = ffi.new("unsigned int *")
        if rc := lib.mdb_dbi_flags(txn, dbi[0], actual):
            raise error("mdb_dbi_flags", rc)
        self._dbi, self._flags = dbi[0], actual[0]

    def _check(self, key: Any) -> None:
        """Refuse an ``MDB_val`` that cannot be a key of an ``integerkey`` database: LMDB would read past its end."""
        if self._flags & c.INTEGERKEY and key.mv_size not in (4, 8):
            raise error("a key of an integerkey database has 4 or 8 bytes", c.BAD_VALSIZE)

    def _check_many(self, keys: Iterable[Any]) -> None:
        """Refuse keys that no ``integerkey`` database can have, before any of them is used."""
        if self._flags & c.INTEGERKEY:
            for record, key in enumerate(keys):
                if len(memoryview(key).cast("B")) not in (4, 8):
                    raise at_record(record, error("a key of an integerkey database has 4 or 8 bytes", c.BAD_VALSIZE))

    def __reduce__(self) -> str:
        raise TypeError("a database handle cannot be pickled: it is a number of this process; pickle its environment")

    def flags(self, *txn: Any) -> DatabaseFlags:
        """What the database was made with, as the keyword arguments of :meth:`Environment.open_db`.

        Args:
            txn: ignored; py-lmdb takes it for the sake of old programs.
        """
        if len(txn) > 1:
            raise TypeError("flags takes 0 or 1 arguments")
        return {
            "reverse_key": bool(self._flags & c.REVERSEKEY),
            "dupsort": bool(self._flags & c.DUPSORT),
            "integerkey": bool(self._flags & c.INTEGERKEY),
            "integerdup": bool(self._flags & c.INTEGERDUP),
            "dupfixed": bool(self._flags & c.DUPFIXED),
        }


_fast.install(_Database)
