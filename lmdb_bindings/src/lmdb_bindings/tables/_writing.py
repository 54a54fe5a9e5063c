"""Writing records, and with each, in the same transaction, its entries in the indexes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from lmdb_bindings._transaction import Transaction
from lmdb_bindings.tables.errors import DamagedError, UniqueError

if TYPE_CHECKING:
    from lmdb_bindings._database import _Database
    from lmdb_bindings.tables._index import StoredIndex
    from lmdb_bindings.tables._opening import Stored

_BATCH = 1000
"""Records that are read before their entries are written."""


def index_keys(stored: Stored, data: Any) -> list[bytes | None]:
    """The key of a record in each index, None where it has none.

    By what is read from the stored bytes, not by what was given to be stored: that may be something else, such as a
    tuple that JSON makes a list of, and the entry must be found again by the bytes alone.
    """
    value = stored.value.decode(data if type(data) is bytes else bytes(data))
    return [index.key_of(value) for index in stored.indexes.values()]


def store(stored: Stored, txn: Transaction, key: bytes, data: Any, *, replacing: bool) -> None:
    """Store a record and its entries, in the place of the one that has its key.

    Args:
        stored: the table.
        txn: the transaction.
        key: the record's key, as it is stored.
        data: its value, as it is stored.
        replacing: records that have its key in a unique index are removed.

    Raises:
        UniqueError: another record has its key in a unique index. Nothing is changed then.
        DamagedError: the record in its place cannot be read, so nobody knows its entries; or an index has an entry that
            is not its record's. Nothing is changed then.
    """
    new = index_keys(stored, data)
    old = _old_keys(stored, txn, key) or [None] * len(new)
    others = dict[bytes, None]()
    for index, wanted, had in zip(stored.indexes.values(), new, old, strict=True):
        if wanted is None or wanted == had or not index.entry.unique:
            continue
        holder = txn.get(wanted, None, index.database)
        if holder is None or holder == key:
            continue
        _check_holder(stored, txn, index, wanted, bytes(holder))
        if not replacing:
            raise conflict(stored, index, wanted, key, bytes(holder))
        others[bytes(holder)] = None
    entries = {other: _old_keys(stored, txn, other) or [] for other in others}  # all, before anything is changed
    for other, its in entries.items():
        _remove(stored, txn, other, its)
    txn.put(key, data, db=stored.database)
    for index, wanted, had in zip(stored.indexes.values(), new, old, strict=True):
        if wanted == had:
            continue
        if had is not None:
            _remove_entry(txn, index, had, key)
        if wanted is not None:
            txn.put(wanted, key, db=index.database)


def store_new(stored: Stored, txn: Transaction, records: list[tuple[bytes, bytes]]) -> bool:
    """Store records that are new and in nobody's way, all at once.

    Returns:
        Whether that was so; else nothing is changed, and it is for :func:`store` to say what is wrong with which.
    """
    if not _are_new([key for key, _ in records], stored.database, txn):
        return False
    try:
        for key, data in records:
            stored.check_key(key, data)
        made = [index_keys(stored, data) for _, data in records]
    except (DamagedError, TypeError, ValueError):
        return False
    entries: list[list[tuple[bytes, bytes]]] = []
    for index, wanted in zip(stored.indexes.values(), zip(*made, strict=True), strict=True):
        pairs = [(each, key) for each, (key, _) in zip(wanted, records, strict=True) if each is not None]
        if index.entry.unique and not _are_new([each for each, _ in pairs], index.database, txn):
            return False
        entries.append(sorted(pairs))
    txn.putmany(records, db=stored.database)
    for index, pairs in zip(stored.indexes.values(), entries, strict=True):
        txn.putmany(pairs, db=index.database)
    return True


def _are_new(keys: list[bytes], database: _Database, txn: Transaction) -> bool:
    """Whether keys are different, and not in a database."""
    return len(set(keys)) == len(keys) and not any(found is not None for found in txn.getmany(keys, db=database))


def remove(stored: Stored, txn: Transaction, key: bytes) -> bool:
    """Remove a record and its entries; whether it was there.

    Raises:
        DamagedError: it cannot be read, so nobody knows its entries. Nothing is changed then.
    """
    if not stored.indexes:
        return txn.delete(key, db=stored.database)
    old = _old_keys(stored, txn, key)
    if old is None:
        return False
    _remove(stored, txn, key, old)
    return True


def _remove(stored: Stored, txn: Transaction, key: bytes, index_keys: list[bytes | None]) -> None:
    """Remove a record that is there, and its entries."""
    txn.delete(key, db=stored.database)
    for index, had in zip(stored.indexes.values(), index_keys, strict=True):
        if had is not None:
            _remove_entry(txn, index, had, key)


def _old_keys(stored: Stored, txn: Transaction, key: bytes) -> list[bytes | None] | None:
    """The keys in the indexes of the record that has a key; None where there is no such."""
    data = txn.get(key, None, stored.database)
    if data is None:
        return None
    try:
        return index_keys(stored, data)
    except (DamagedError, TypeError, ValueError) as problem:
        raise DamagedError(
            f"table {stored.name!r}: the record {_shown(stored, key)} cannot be replaced or removed, since its entries "
            f"in the indexes cannot be told: {problem}. discard() removes it, and looks through the indexes"
        ) from problem


def _check_holder(stored: Stored, txn: Transaction, index: StoredIndex, index_key: bytes, holder: bytes) -> None:
    """Whether a record has the key that a unique index says: else it must not lose its place for it."""
    data = txn.get(holder, None, stored.database) if holder else None  # LMDB refuses to look for an empty key
    if data is None:
        raise orphan(stored, index, holder)
    if index.key_of(stored.value.decode(bytes(data))) != index_key:
        raise DamagedError(
            f"table {stored.name!r}: the index {index.name!r} has the entry {index_key!r} for the record "
            f"{_shown(stored, holder)}, whose key is another: see check() and reindex({index.name!r})"
        )


def orphan(stored: Stored, index: StoredIndex | None, key: bytes) -> DamagedError:
    """The exception for an entry of an index that leads to no record."""
    if index is None:
        return DamagedError(
            f"table {stored.name!r}: the record {_shown(stored, key)} is there, and cannot be looked up"
        )
    return DamagedError(
        f"table {stored.name!r}: the index {index.name!r} has an entry for {_shown(stored, key)}, a record that is not "
        f"there: see check() and reindex({index.name!r})"
    )


def _remove_entry(txn: Transaction, index: StoredIndex, index_key: bytes, key: bytes) -> None:
    if not index.entry.unique:
        txn.delete(index_key, key, db=index.database)
    elif txn.get(index_key, None, index.database) == key:
        txn.delete(index_key, db=index.database)


def discard(stored: Stored, txn: Transaction, key: bytes) -> bool:
    """Remove a record, and look through the indexes for its entries; whether it was there."""
    found = txn.delete(key, db=stored.database)
    for index in stored.indexes.values():
        for index_key in [bytes(each) for each, holder in txn.scan(index.database) if holder == key]:
            _remove_entry(txn, index, index_key, key)
    return found


def build(stored: Stored, txn: Transaction, index: StoredIndex) -> int:
    """Make an empty index of the records; how many entries it has got.

    Raises:
        UniqueError: two records have the same key in it. The transaction must be aborted.
        DamagedError, TypeError, ValueError: a record cannot be read, or has no such key. Likewise.
    """
    total = 0
    decode, key_of, unique = stored.value.decode, index.key_of, index.entry.unique
    records = iter(txn.scan(stored.database))
    while batch := list(islice(records, _BATCH)):  # what is read ahead would be read again after each write
        found = ((key_of(decode(bytes(data))), bytes(key)) for key, data in batch)
        entries = [(wanted, key) for wanted, key in found if wanted is not None]
        added = txn.putmany(entries, overwrite=not unique, db=index.database)
        if unique and added < len(entries):
            raise next(_conflicts(stored, txn, index, entries))
        total += len(entries)
    return total


def _conflicts(
    stored: Stored, txn: Transaction, index: StoredIndex, entries: list[tuple[bytes, bytes]]
) -> Iterator[UniqueError]:
    for wanted, key in entries:
        holder = bytes(txn.get(wanted, b"", index.database))
        if holder != key:
            yield conflict(stored, index, wanted, key, holder)


def conflict(stored: Stored, index: StoredIndex, index_key: bytes, key: bytes, holder: bytes) -> UniqueError:
    """The exception for two records with one key in a unique index."""
    decode = stored.key.decode
    return UniqueError(stored.name, index.name, index.key.decode(index_key), decode(key), decode(holder))


def _shown(stored: Stored, key: bytes) -> str:
    """A record's key in a message."""
    try:
        return repr(stored.key.decode(key))
    except DamagedError:
        return repr(key)
