"""Typed tables: named databases of records with keys in order, secondary indexes, and a catalog of what they are.

>>> from lmdb_bindings.tables import Index, Table, keys, values
>>> users = Table(env, "users", key=keys.uint64, value=values.json,
...               indexes={"by_mail": Index("mail", keys.string, unique=True)})        # doctest: +SKIP

A table is stored as docs/tables.md says, for native code too.
"""

from lmdb_bindings.tables import keys as keys
from lmdb_bindings.tables import values as values
from lmdb_bindings.tables._checking import Problem as Problem
from lmdb_bindings.tables._index import Index as Index
from lmdb_bindings.tables._lookup import Lookup as Lookup
from lmdb_bindings.tables._query import Query as Query
from lmdb_bindings.tables._table import Table as Table
from lmdb_bindings.tables.errors import DamagedError as DamagedError
from lmdb_bindings.tables.errors import MismatchError as MismatchError
from lmdb_bindings.tables.errors import TableError as TableError
from lmdb_bindings.tables.errors import UniqueError as UniqueError

__all__ = [
    "DamagedError", "Index", "Lookup", "MismatchError", "Problem", "Query", "Table", "TableError", "UniqueError",
    "keys", "values",
]  # fmt: skip
