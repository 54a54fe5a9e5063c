"""Whether the records of a table are what the catalog says, and its indexes what the records say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmdb_bindings.tables.errors import DamagedError

if TYPE_CHECKING:
    from lmdb_bindings._transaction import Transaction
    from lmdb_bindings.tables._index import StoredIndex
    from lmdb_bindings.tables._opening import Stored


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a table.

    Attributes:
        key: the key of the record that it is about, as it is stored.
        index: the name of the index that it is about; None where it is about the record.
        text: what is wrong.
    """

    key: bytes
    index: str | None
    text: str


def problems(stored: Stored, txn: Transaction) -> Iterator[Problem]:
    """What is wrong with a table, as a transaction sees it."""
    indexes = [index for index in stored.indexes.values() if not index.lacks]
    for key, data in txn.scan(stored.database):
        yield from _of_record(stored, txn, indexes, bytes(key), bytes(data))
    for index in stored.indexes.values():
        for index_key, key in txn.scan(index.database):
            if text := _of_entry(stored, txn, index, bytes(index_key), bytes(key)):
                yield Problem(bytes(key), index.name, text)


def _of_record(
    stored: Stored, txn: Transaction, indexes: list[StoredIndex], key: bytes, data: bytes
) -> Iterator[Problem]:
    try:
        if stored.key.encode(stored.key.decode(key)) != key:
            yield Problem(key, None, f"the key is not how {stored.key.name} writes it")
    except (DamagedError, TypeError, ValueError) as problem:
        yield Problem(key, None, str(problem))
    try:
        value = stored.value.decode(data)
    except (DamagedError, TypeError, ValueError) as problem:
        yield Problem(key, None, f"the value cannot be read: {problem}")
        return
    try:
        stored.check_key(key, data)
    except (DamagedError, TypeError, ValueError) as problem:
        yield Problem(key, None, str(problem))
    for index in indexes:
        try:
            wanted = index.key_of(value)
        except (TypeError, ValueError) as problem:
            yield Problem(key, index.name, str(problem))
            continue
        if wanted is not None and not _has(txn, index, wanted, key):
            yield Problem(key, index.name, f"the record has no entry, and should have one with the key {wanted!r}")


def _has(txn: Transaction, index: StoredIndex, index_key: bytes, key: bytes) -> bool:
    if index.entry.unique:
        return bool(txn.get(index_key, None, index.database) == key)
    with txn.cursor(index.database) as cursor:
        return cursor.set_key_dup(index_key, key)


def _of_entry(stored: Stored, txn: Transaction, index: StoredIndex, index_key: bytes, key: bytes) -> str:
    """What is wrong with an entry of an index; empty where nothing is."""
    data: Any = txn.get(key, None, stored.database) if key else None  # LMDB refuses to look for an empty one
    if data is None:
        return f"the entry with the key {index_key!r} leads to no record"
    if index.lacks:
        return ""
    try:
        wanted = index.key_of(stored.value.decode(bytes(data)))
    except (DamagedError, TypeError, ValueError):
        return ""  # said of the record
    if wanted == index_key:
        return ""
    return f"the entry with the key {index_key!r} leads to a record whose key is {wanted!r}"
