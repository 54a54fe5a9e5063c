"""Secondary indexes: of what their keys are made, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from lmdb_bindings._database import _Database
from lmdb_bindings.tables._catalog import IndexEntry
from lmdb_bindings.tables.keys import KeyCodec

K = TypeVar("K")


class Index(Generic[K]):
    """A secondary index, as it is declared.

    Args:
        by: of what its keys are made: the path of a field (``"mail"``, ``"position.x"``), several paths, whose values
            make a tuple, or a function of the value. A record for which that, or a part of it, is None, has no entry,
            and neither has one whose key would be empty, since LMDB has no empty keys.
        key: the codec of its keys.
        unique: a key leads to one record, and another with the same is refused.

    Raises:
        ValueError: there are not as many paths as the keys have parts.
    """

    def __init__(
        self, by: str | Sequence[str] | Callable[[Any], K | None], key: KeyCodec[K], *, unique: bool = False
    ) -> None:
        self.key = key
        self.unique = bool(unique)
        self.function: Callable[[Any], K | None] | None = None
        self.fields: tuple[str, ...] | None = None
        if callable(by):
            self.function = by
            return
        self.fields = (by,) if isinstance(by, str) else tuple(by)
        if len(self.fields) != key.width or not all(self.fields):
            raise ValueError(
                f"an index by {', '.join(self.fields)!r} needs a key of as many parts, and {key.name} has {key.width}"
            )

    def entry(self) -> IndexEntry:
        """What the catalog says of it."""
        return IndexEntry(
            self.key.name, self.unique, self.fields, None if self.function is None else name_of(self.function)
        )


def name_of(function: Callable[..., Any]) -> str:
    """What the catalog calls a function: ``module:name``."""
    kind: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}:{kind.__qualname__}"


class StoredIndex:
    """An index of a table that is open.

    Attributes:
        name: its name.
        entry: what the catalog says of it.
        key: the codec of its keys.
        database: its database; set when the table is opened.
        lacks: the name of a function that nobody has given, so that the index cannot be kept; else empty.
    """

    __slots__ = ("_encode", "_longest", "_make", "database", "entry", "key", "lacks", "name")

    database: _Database

    def __init__(self, name: str, entry: IndexEntry, key: KeyCodec[Any], make: Callable[[Any], Any] | None) -> None:
        self.name = name
        self.entry = entry
        self.key = key
        self.lacks = "" if make is not None else str(entry.function)
        self._make: Any = make
        self._encode = key.part if entry.fields is None else key.of_field
        self._longest = 0

    def open(self, database: _Database, longest: int) -> None:
        """Take the database, and how many bytes a key may have."""
        self.database, self._longest = database, longest

    def key_of(self, value: Any) -> bytes | None:
        """The key of a record, by its value; None where it has none.

        Raises:
            TypeError, ValueError: what the fields have, or the function gives, cannot be a key.
        """
        found = self._make(value)
        if found is None:
            return None
        try:
            data = self._encode(found)
        except (TypeError, ValueError) as problem:
            raise restated(problem, f"index {self.name!r}") from None
        if len(data) > self._longest:
            raise ValueError(f"index {self.name!r}: a key of {len(data)} bytes is too long: {self._longest} at most")
        return data or None


def by_fields(fields: Sequence[str], field: Callable[[Any, tuple[str, ...]], Any]) -> Callable[[Any], Any]:
    """What makes a key of a value by the paths of its fields, None where one of them is not there.

    Args:
        fields: the paths.
        field: what takes a field from a value, by its path.
    """
    paths = [tuple(path.split(".")) for path in fields]
    if len(paths) == 1:
        return lambda value, path=paths[0]: field(value, path)  # type: ignore[misc]

    def make(value: Any) -> tuple[Any, ...] | None:
        found = tuple([field(value, path) for path in paths])
        return None if None in found else found

    return make


def restated(problem: TypeError | ValueError, about: str) -> Exception:
    """The exception for a key that cannot be, with what it is the key of."""
    return (TypeError if isinstance(problem, TypeError) else ValueError)(f"{about}: {problem}")
