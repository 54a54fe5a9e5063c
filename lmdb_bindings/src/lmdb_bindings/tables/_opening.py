"""How a table is opened: found in the catalog and compared with what was asked for, or made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lmdb_bindings import _constants as c
from lmdb_bindings._database import _Database
from lmdb_bindings._definition import ALL as ALL_FLAGS
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import DbsFullError, Error, IncompatibleError, NotFoundError
from lmdb_bindings.tables import _catalog, keys, values
from lmdb_bindings.tables._catalog import Entry, IndexEntry
from lmdb_bindings.tables._index import Index, StoredIndex, by_fields, restated
from lmdb_bindings.tables._writing import build
from lmdb_bindings.tables.errors import DamagedError, MismatchError, TableError
from lmdb_bindings.tables.keys import KeyCodec
from lmdb_bindings.tables.values import ValueCodec


class Asked:
    """What a table was asked to be; None of what the catalog is to say."""

    def __init__(
        self,
        key: KeyCodec[Any] | None,
        value: ValueCodec[Any] | None,
        indexes: Mapping[str, Index[Any]],
        fields: tuple[str, ...] | None,
        *,
        trusted: bool,
    ) -> None:
        self.key = key
        self.value = value
        self.indexes = dict(indexes)
        self.fields = fields
        self.trusted = trusted

    def with_indexes(self, indexes: Mapping[str, Index[Any]]) -> Asked:
        """The same with other indexes."""
        return Asked(self.key, self.value, indexes, self.fields, trusted=self.trusted)

    def new_entry(self, name: str) -> Entry:
        """The entry of a table that does not exist yet."""
        if self.key is None or self.value is None:
            raise TableError(f"there is no table {name!r}: give key= and value= to make one")
        if self.value.name not in _catalog.VALUES:
            known = ", ".join(_catalog.VALUES)
            raise TableError(
                f"table {name!r}: values of {self.value.name!r}: nobody could open it again; known are {known}"
            )
        if self.fields is not None:
            self._check_fields(name, self.fields, self.key)
        indexes = {each: index.entry() for each, index in self.indexes.items()}
        return Entry(self.key.name, self.value.name, self.fields, self.value.entry(), indexes)

    @staticmethod
    def _check_fields(name: str, fields: tuple[str, ...], key: KeyCodec[Any]) -> None:
        """Refuse fields of which no key can be made: nobody could open the table again."""
        if not fields and not key.name.startswith("uint"):
            raise ValueError(
                f"table {name!r}: fields=[] numbers the records, and keys of {key.name} are no such numbers"
            )
        if fields and (len(fields) != key.width or not all(fields)):
            raise ValueError(
                f"table {name!r}: keys of the fields {list(fields)} need a codec of as many parts, and {key.name} has "
                f"{key.width}"
            )

    def extend(self, name: str, entry: Entry) -> Entry:
        """The entry of a table that exists, with the indexes that it lacks.

        Raises:
            MismatchError: it is another table than was asked for.
        """
        differences = []
        if self.key is not None and self.key.name != entry.key:
            differences.append(f"its keys are {entry.key}, not {self.key.name}")
        if self.value is not None and self.value.name != entry.value:
            differences.append(f"its values are {entry.value}, not {self.value.name}")
        elif self.value is not None:
            for field, asked in self.value.entry().items():
                if entry.more.get(field) != asked:
                    differences.append(f"the {field} of its values is {entry.more.get(field)!r}, not {asked!r}")
        if self.fields is not None and self.fields != entry.fields:
            stored = "given apart" if entry.fields is None else f"made of the fields {list(entry.fields)}"
            differences.append(f"its keys are {stored}, not made of the fields {list(self.fields)}")
        indexes = dict(entry.indexes)
        for index, asked_index in self.indexes.items():
            asked_entry, there = asked_index.entry(), indexes.setdefault(index, asked_index.entry())
            if there != asked_entry:
                differences.append(f"its index {index!r} is {_words(there)}, not {_words(asked_entry)}")
        if differences:
            raise MismatchError(f"table {name!r} is another one: {'; '.join(differences)}")
        return replace(entry, indexes=indexes)


def _words(index: IndexEntry) -> str:
    by = f"fields {list(index.fields)}" if index.fields is not None else f"function {index.function}"
    return f"{'unique, ' if index.unique else ''}of {by} as {index.key}"


class Stored:
    """A table that is open: what its methods need, in whatever transaction.

    Attributes:
        env: the environment.
        name: the table's name.
        entry: what the catalog says of it.
        catalog: the catalog's database.
        database: the database of its records.
        key: the codec of its keys.
        value: the codec of its values.
        key_of: what makes a record's key of its value; None where keys are given apart, or are numbers.
        indexes: its indexes by their names.
        longest: how many bytes a key may have.
        seen: the entry as the catalog had it when it was last looked at.
        described: what the catalog has beside the entry by which values are read, as it was when the table was opened.
    """

    catalog: _Database
    database: _Database
    key: KeyCodec[Any]
    value: ValueCodec[Any]
    key_of: Callable[[Any], Any] | None
    entry: Entry
    indexes: dict[str, StoredIndex]
    seen: bytes
    described: bytes | None

    def __init__(self, env: Environment, name: str, asked: Asked) -> None:
        self.env = env
        self.name = name
        self._name = _catalog.check_name(name)
        for index in asked.indexes:
            _catalog.check_name(index, "an index")
        self.asked = asked
        self.longest = env.max_key_size()

    def open(self) -> None:
        """Find the table, or make it."""
        env = self.env
        try:
            if self._open_for_reading() or env.readonly:
                return
            while not env.update(self._open_for_writing):
                pass  # other databases were opened since the transaction began
        except DbsFullError:
            needed = 2 + len(self.asked.indexes)
            raise TableError(
                f"table {self.name!r}: too many named databases are open: open the environment with a larger max_dbs. "
                f"This table needs {needed}: one for itself, one for each index, and one for the catalog of all tables"
            ) from None

    def _open_for_reading(self) -> bool:
        """Open it without writing; whether that is all."""
        env = self.env
        try:
            with env._naming, Transaction(env) as txn:
                return self._open_in(txn, may_write=False)
        except Error as problem:
            if problem.code or isinstance(problem, TableError) or env.readonly:
                raise
            return False  # a write transaction is opening databases: wait for it

    def _open_for_writing(self, txn: Transaction) -> bool:
        with self.env._naming:
            if txn._generation != self.env._generation:
                return False
            self._open_in(txn, may_write=True)
            return True

    def _open_in(self, txn: Transaction, *, may_write: bool) -> bool:
        """Open it in a transaction; whether nothing is left to be written."""
        env, name = self.env, self.name
        try:
            self.catalog = env.open_db(_catalog.NAME, txn, create=may_write)
        except NotFoundError:
            self.asked.new_entry(name)
            if env.readonly:
                raise TableError(f"there is no table {name!r}, and no catalog of tables in {env.path()!r}") from None
            return False
        stored = _catalog.read(txn, self.catalog, name)
        if stored is None:
            entry = self.asked.new_entry(name)
            if env.readonly:
                raise TableError(f"there is no table {name!r} in {env.path()!r}, which is read-only")
        else:
            there = _catalog.parse(name, stored)
            entry = self.asked.extend(name, there)
            if env.readonly and entry != there:
                missing = ", ".join(sorted(entry.indexes.keys() - there.indexes))
                raise MismatchError(f"table {name!r} has no index {missing}, and the environment is read-only")
        new = entry.indexes.keys() - (there.indexes if stored is not None else {})
        if not may_write and (stored is None or new):
            return False
        self._resolve(entry)
        self.seen = stored or b""
        self.database = self._open_one(txn, self._name, 0, create=stored is None)
        for index in self.indexes.values():
            flags = 0 if index.entry.unique else c.DUPSORT
            name_of_index = _catalog.index_database(name, index.name)
            index.open(self._open_one(txn, name_of_index, flags, create=index.name in new), self.longest)
        if self.value.attach(self, txn, may_write=may_write) and not may_write:
            return False
        self.described = self.value.description(self, txn)
        if may_write:
            self.write_entry(txn)
            for each in new:
                build(self, txn, self.indexes[each])
        return True

    def _resolve(self, entry: Entry) -> None:
        """Find the codecs, and what makes keys."""
        asked, name = self.asked, self.name
        self.entry = entry
        self.key = asked.key or keys.named(entry.key)
        self.value = asked.value or values.of_entry(name, entry, trusted=asked.trusted)
        self.key_of = by_fields(entry.fields, self.value.field) if entry.fields else None
        self.indexes = {each: self._index(each, found) for each, found in entry.indexes.items()}

    def _index(self, name: str, entry: IndexEntry) -> StoredIndex:
        asked = self.asked.indexes.get(name)
        key = keys.named(entry.key) if asked is None else asked.key
        if entry.fields is not None:
            return StoredIndex(name, entry, key, by_fields(entry.fields, self.value.field))
        make = None if asked is None else asked.function
        if make is None and self.asked.trusted:
            make = values.imported(str(entry.function))
        return StoredIndex(name, entry, key, make)

    def _open_one(self, txn: Transaction, name: bytes, flags: int, *, create: bool) -> _Database:
        """Open a database of the table, or make one: whatever is there already under its name is something else."""
        about = f"table {self.name!r}: the database {name.decode()!r}"
        try:
            database = self.env.open_db(name, txn, create=create, dupsort=bool(flags))
        except (NotFoundError, IncompatibleError):
            raise DamagedError(f"{about} is missing, and the catalog has it") from None
        if database._flags & ALL_FLAGS != flags:
            raise TableError(f"{about} is there, and was made for other things")
        if create and txn.stat(database)["entries"]:
            raise TableError(
                f"{about} has records, and the catalog lacks it: drop that database, or choose another name"
            )
        return database

    def write_entry(self, txn: Transaction) -> None:
        """Let the catalog say what the table is, if it does not."""
        data = self.entry.to_json()
        if not self.seen or _catalog.parse(self.name, self.seen) != self.entry:
            txn.put(self._name, data, db=self.catalog)
            self.seen = data

    def databases(self) -> list[_Database]:
        """The databases of the table: its records, and its indexes."""
        return [self.database, *(index.database for index in self.indexes.values())]

    def made_key(self, data: Any) -> bytes:
        """The key that a record has by its fields, as it is stored.

        Raises:
            TypeError, ValueError: it lacks one of the fields, or they make no key.
        """
        fields = ", ".join(self.entry.fields or ())
        value = self.value.decode(data if type(data) is bytes else bytes(data))
        key = None if self.key_of is None else self.key_of(value)
        if key is None:
            raise ValueError(f"table {self.name!r}: the key is made of {fields}, and the value lacks that")
        try:
            made = self.key.of_field(key)
        except (TypeError, ValueError) as problem:
            raise restated(problem, f"table {self.name!r}: the key is made of {fields}") from None
        if not 0 < len(made) <= self.longest:
            raise ValueError(
                f"table {self.name!r}: a key of {len(made)} bytes: it has 1 at least, {self.longest} at most"
            )
        return made

    def check_key(self, key: bytes, data: Any) -> None:
        """Refuse a record whose key is not what its fields make.

        Raises:
            TypeError, ValueError: so it is.
        """
        if self.key_of is not None and (made := self.made_key(data)) != key:
            fields = ", ".join(self.entry.fields or ())
            raise ValueError(
                f"table {self.name!r}: the key is made of {fields}, which gives {self.key.decode(made)!r}, and not "
                f"{self.key.decode(key)!r}"
            )

    def drop_index(self, txn: Transaction, name: str) -> None:
        """Remove an index."""
        self.check_unchanged(txn)
        self._drop_index_database(txn, name)
        left = {each: entry for each, entry in self.entry.indexes.items() if each != name}
        there = _catalog.parse(self.name, self.seen)  # its schema may be newer than this table's
        txn.put(self._name, replace(there, indexes=left).to_json(), db=self.catalog)

    def _drop_index_database(self, txn: Transaction, name: str) -> None:
        # By a handle of this transaction: dropping closes handles, also where the transaction must be done again.
        database = _catalog.index_database(self.name, name)
        txn.drop(self.env.open_db(database, txn, create=False, dupsort=not self.indexes[name].entry.unique))

    def drop(self, txn: Transaction) -> None:
        """Remove everything that there is of the table."""
        self.check_unchanged(txn)
        for index in self.indexes:
            self._drop_index_database(txn, index)
        txn.drop(self.env.open_db(self._name, txn, create=False))
        _catalog.remove(txn, self.catalog, self.name)

    def check_writable(self, txn: Transaction) -> None:
        """Before the first write of a transaction: whether the table is still what it was, and can be kept whole.

        Raises:
            MismatchError: the catalog says something else now.
            TableError: the function of an index is not known.
        """
        for index in self.indexes.values():
            if index.lacks:
                raise TableError(
                    f"table {self.name!r} can only be read: its index {index.name!r} is of {index.lacks}, a function "
                    "which was not given: open the table with indexes= that have it, or, trusting who wrote the "
                    "environment, with trusted=True, which imports it"
                )
        self.check_unchanged(txn)

    def check_unchanged(self, txn: Transaction) -> None:
        """Whether the catalog still says what it said when the table was opened.

        Raises:
            MismatchError: it does not.
        """
        found = _catalog.read(txn, self.catalog, self.name)
        if found is None:
            raise MismatchError(f"table {self.name!r} has been dropped since it was opened here")
        changed = found != self.seen and not self._is_same(_catalog.parse(self.name, found))
        if changed or self.value.description(self, txn) != self.described:  # it may have been dropped, and made anew
            raise MismatchError(f"table {self.name!r} has been changed since it was opened here: open it again")
        self.seen = found

    def _is_same(self, there: Entry) -> bool:
        """Whether an entry says the same. Another program may have stored a newer schema: that changes nothing here."""
        mine = self.entry
        if "schema" in mine.more:
            there = replace(there, more={**there.more, "schema": mine.more["schema"]})
        return there == mine
