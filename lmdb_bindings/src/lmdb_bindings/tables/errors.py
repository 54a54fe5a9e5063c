"""What goes wrong with tables, beside what goes wrong with LMDB."""

from __future__ import annotations

from lmdb_bindings.errors import Error


class TableError(Error):
    """Something cannot be done with a table, or there is no such table."""


class MismatchError(TableError):
    """A table is not what it was asked to be: the text names each difference."""


class DamagedError(TableError):
    """Stored bytes are not what the catalog says that they are."""


class UniqueError(TableError):
    """Another record has the key of a unique index already. Nothing was changed, and the transaction can be used.

    Attributes:
        index: the index's name.
        index_key: the key that both would have in it.
        key: the key of the record that was to be stored.
        holder: the key of the record that has it.
    """

    def __init__(self, table: str, index: str, index_key: object, key: object, holder: object) -> None:
        super().__init__(
            f"table {table!r}: the record {key!r} would have the key {index_key!r} in the unique index {index!r}, and "
            f"the record {holder!r} has it; conflict='replace' stores it in that one's place"
        )
        self.index = index
        self.index_key = index_key
        self.key = key
        self.holder = holder
