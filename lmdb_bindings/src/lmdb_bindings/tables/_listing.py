"""What ``python -m lmdb_bindings tables`` shows: the tables of an environment, with their types and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import IncompatibleError, NotFoundError
from lmdb_bindings.tables import _catalog
from lmdb_bindings.tables.errors import DamagedError, TableError


def tables(env: Environment) -> list[dict[str, Any]]:
    """The tables of an environment, in the order of their names, as JSON has them.

    Returns:
        Of each ``name``, ``key``, ``fields`` where keys are made of some, ``value``, what the catalog says more of that
        (``root`` and ``schema``, or ``type``), ``records``, ``bytes`` (of pages, with those of the indexes), and
        ``indexes``: to each name its ``key``, ``unique``, ``fields`` or ``function``, ``records`` and ``bytes``. Of one
        that cannot be read, ``name`` and ``problem`` alone.

    Raises:
        TableError: there is no catalog.
    """
    with Transaction(env) as txn:
        try:
            catalog = env.open_db(_catalog.NAME, txn, create=False)
        except NotFoundError:
            raise TableError(f"there is no catalog of tables in {env.path()!r}") from None
        return [_table(env, txn, catalog, name) for name in _catalog.names(txn, catalog)]


def _table(env: Environment, txn: Transaction, catalog: _Database, name: str) -> dict[str, Any]:
    try:
        entry = _catalog.parse(name, _catalog.read(txn, catalog, name) or b"")
        records, size = _sizes(env, txn, name.encode())
        indexes = {}
        for index, of in entry.indexes.items():
            entries, pages = _sizes(env, txn, _catalog.index_database(name, index))
            size += pages
            indexes[index] = {**_catalog.json_of_index(of), "records": entries, "bytes": pages}
    except TableError as problem:
        return {"name": name, "problem": str(problem)}
    fields = {} if entry.fields is None else {"fields": list(entry.fields)}
    kinds = {"key": entry.key, **fields, "value": entry.value, **entry.more}
    return {"name": name, **kinds, "records": records, "bytes": size, "indexes": indexes}


def _sizes(env: Environment, txn: Transaction, name: bytes) -> tuple[int, int]:
    """The records of a database, and the bytes of its pages."""
    try:
        stat = txn.stat(env.open_db(name, txn, create=False))
    except (NotFoundError, IncompatibleError):
        raise DamagedError(f"the catalog has it, and there is no database {name.decode()!r}") from None
    pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
    return stat["entries"], pages * stat["psize"]


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """The tables, and below each its indexes, for a reader."""
    rows = [("table", "key", "value", "records", "bytes")]
    for table in found:
        if "problem" in table:
            rows.append((table["name"], "", table["problem"], "", ""))
            continue
        rows.append((table["name"], table["key"], _value(table), f"{table['records']}", f"{table['bytes']}"))
        for name, index in table["indexes"].items():
            by = ", ".join(index["fields"]) if "fields" in index else index["function"]
            kind = f"{'unique ' if index['unique'] else ''}index of {by}"
            rows.append((f"  {name}", index["key"], kind, f"{index['records']}", f"{index['bytes']}"))
    shown = [[_printable(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for *texts, records, size in shown:
        left = (text.ljust(width) for text, width in zip(texts, widths, strict=False))
        yield "  ".join([*left, records.rjust(widths[3]), size.rjust(widths[4])]).rstrip()


def _printable(text: str) -> str:
    """Text of a file for a terminal, which control characters would command."""
    return text if text.isprintable() else repr(text)[1:-1]


def _value(table: dict[str, Any]) -> str:
    if "root" in table:
        return f"{table['value']} {table['root']}, schema {table.get('schema', '?')}"
    return f"{table['value']} {table['type']}" if "type" in table else str(table["value"])
