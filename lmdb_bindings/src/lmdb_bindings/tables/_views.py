"""What ``keys()``, ``values()`` and ``items()`` of a table give: each iterates in one scan, in either direction."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lmdb_bindings.tables._table import Table

K = TypeVar("K")
V = TypeVar("V")


class TableKeys(KeysView[K]):
    """The keys of a table, as a set that changes with it."""

    _mapping: Table[K, object]

    def __iter__(self) -> Iterator[K]:
        return iter(self._mapping.range().keys())

    def __reversed__(self) -> Iterator[K]:
        return iter(self._mapping.range(reverse=True).keys())


class TableValues(ValuesView[V]):
    """The values of a table, in the order of their keys."""

    _mapping: Table[object, V]

    def __iter__(self) -> Iterator[V]:
        return iter(self._mapping.range().values())

    def __reversed__(self) -> Iterator[V]:
        return iter(self._mapping.range(reverse=True).values())

    def __contains__(self, value: object) -> bool:
        return any(each is value or each == value for each in self)


class TableItems(ItemsView[K, V]):
    """The records of a table as pairs, as a set that changes with it."""

    _mapping: Table[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(self._mapping.range())

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return iter(self._mapping.range(reverse=True))
