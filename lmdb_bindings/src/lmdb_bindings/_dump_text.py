r"""The text format of LMDB's own ``mdb_dump`` and ``mdb_load``, which is that of Berkeley DB's ``db_dump``.

A dump is a sequence of databases: a header of ``keyword=value`` lines from ``VERSION=3`` to ``HEADER=END``; for each
record a line for the key and one for the value, each after a space, in hexadecimal (``format=bytevalue``) or as text in
which a backslash stands before each other and before the two digits of a byte that ASCII does not print
(``format=print``); and ``DATA=END``.

Two deviations from upstream's programs, both of which lose data there. The main database is dumped without the records
that stand for named databases, since those are page numbers of one file: ``mdb_load`` would make plain records of them,
which take the names away. And what ``mdb_load`` takes for the end of a database, a cut-off file, is an error.
"""

from __future__ import annotations

import re
import warnings
from binascii import Error as HexError
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lmdb_bindings import _definition
from lmdb_bindings._constants import DUPSORT, INTEGERDUP, INTEGERKEY
from lmdb_bindings._database import _Database
from lmdb_bindings._environment import Environment
from lmdb_bindings._transaction import Transaction
from lmdb_bindings.errors import BadValsizeError, Error, IncompatibleError, NotFoundError

_SPECIAL = re.compile(rb"[^ -\[\]-~]")
_ESCAPED = {bytes([byte]): b"\\%02x" % byte for byte in range(256)} | {b"\\": b"\\\\"}
_ESCAPE = re.compile(rb"\\(\\|[0-9A-Fa-f]{2})?")

_NUMBERS = {"mapsize", "maxreaders"}
_DERIVED = {"duplicates", "db_pagesize", "mapaddr"}  # by other keywords, and by the environment that is loaded into
_CUT_OFF = "the dump was cut off, or is none: dump the environment again"
_EDITED = "the dump was damaged, or edited wrongly: dump the environment again"


class DumpFormatError(Error):
    """A dump cannot be read.

    Attributes:
        line: the number of the line, from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {problem}")


@dataclass(frozen=True)
class Header:
    """What a dump says of a database before its records.

    Attributes:
        database: its name; None where the dump gives none, which means the main one.
        printable: the records are text, not hexadecimal.
        flags: its persistent flags.
        mapsize: the map size of the environment that was dumped, in bytes; 0 if unknown.
        maxreaders: its reader slots; 0 if unknown.
        line: the number of the header's last line.
    """

    database: bytes | None
    printable: bool
    flags: int
    mapsize: int
    maxreaders: int
    line: int


# -- writing ---------------------------------------------------------------------------------------------------------


def dump(
    env: Environment,
    stream: BinaryIO,
    databases: Iterable[bytes | None] | None = (None,),
    *,
    printable: bool = False,
) -> int:
    """Write databases as text, of one snapshot.

    Args:
        env: the environment.
        stream: a binary stream.
        databases: their names, None among them for the main one; None for all: the named ones, and before them the
            main one if it has records of its own, or if there are no others.
        printable: write text where ``mdb_dump -p`` does; else hexadecimal.

    Returns:
        The number of records.

    Raises:
        NotFoundError: there is no such database.
        Error: a name has a line feed, for which the format has no escape.
    """
    encode = _to_print if printable else _to_bytevalue
    with env.begin() as txn:
        chosen = _everything(env, txn) if databases is None else databases
        return sum(_dump_database(env, txn, name, stream, encode) for name in chosen)


def _everything(env: Environment, txn: Transaction) -> list[bytes | None]:
    names = list(_definition.named(env, txn))
    plain = txn.stat(env.open_db(None, txn=txn))["entries"] - len(names)
    return [None, *names] if plain or not names else [*names]


def _dump_database(
    env: Environment, txn: Transaction, name: bytes | None, stream: BinaryIO, encode: Callable[[bytes], bytes]
) -> int:
    try:
        database = env.open_db(name, txn=txn, create=False)
    except NotFoundError as problem:
        raise NotFoundError(f"{_definition.label(name)} of {env.path()}", problem.code) from None
    stream.write(_header(env, txn, name, database, "print" if encode is _to_print else "bytevalue"))
    count = 0
    for key, value in _definition.records(env, txn, name, database):
        stream.write(b" %b\n %b\n" % (encode(key), encode(value)))
        count += 1
    stream.write(b"DATA=END\n")
    return count


def _header(env: Environment, txn: Transaction, name: bytes | None, database: _Database, form: str) -> bytes:
    if name is not None and b"\n" in name:
        raise Error(
            f"{_definition.label(name)} cannot be dumped as text: its name has a line feed. Use copy or migrate."
        )
    info = env.info()
    flags = _definition.flags_of(database)
    # The name goes out as it is stored: it need not be text.
    return b"".join(
        [
            b"VERSION=3\nformat=%b\n" % form.encode(),
            b"" if name is None else b"database=%b\n" % name,
            b"type=btree\nmapsize=%d\n" % info["map_size"],
            b"mapaddr=0x%x\n" % info["map_addr"] if info["map_addr"] else b"",
            b"maxreaders=%d\n" % info["max_readers"],
            b"duplicates=1\n" if flags & DUPSORT else b"",
            *(b"%b=1\n" % word.encode() for word, flag in _definition.FLAGS.items() if flags & flag),
            b"db_pagesize=%d\nHEADER=END\n" % txn.stat(database)["psize"],
        ]
    )


def _to_bytevalue(data: bytes) -> bytes:
    return data.hex().encode()


def _to_print(data: bytes) -> bytes:
    return _SPECIAL.sub(lambda match: _ESCAPED[match[0]], data)


# -- reading ---------------------------------------------------------------------------------------------------------


class DumpReader:
    """A dump that is being read. Its first header is read at once, so that an environment can be made to its measure.

    Args:
        stream: a binary stream.

    Attributes:
        header: of the database whose records come next; None at the end.

    Raises:
        DumpFormatError: the stream does not begin with a header.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._line = 0
        first = self._next_header(self._read())
        if first is None:
            raise DumpFormatError(1, f"the input is empty where VERSION=3 is expected; {_CUT_OFF}")
        self.header: Header | None = first

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """The records of the database, as they stand; when they are through, ``header`` is the next database's.

        Raises:
            DumpFormatError: a line is not as the format says; what was given before it is good.
        """
        printable = self.header is not None and self.header.printable
        decode = _from_print if printable else _from_bytevalue
        while (line := self._read()) != b"DATA=END\n":
            key = self._decode(line, decode, "a key or DATA=END")
            yield key, self._decode(self._read(), decode, "a value")
        self.header = self._next_header(self._read())

    def at(self, problem: str) -> DumpFormatError:
        """An error at the line that was read last."""
        return DumpFormatError(self._line, problem)

    def _read(self) -> bytes:
        line = self._stream.readline()
        self._line += 1
        # The last line may lack its line feed, which editors drop; in a record nothing would tell it from a cut-off.
        return b"DATA=END\n" if line == b"DATA=END" else line

    def _decode(self, line: bytes, decode: Callable[[bytes], bytes], expected: str) -> bytes:
        if not line.endswith(b"\n"):
            raise self.at(f"the input ends where {expected} is expected; {_CUT_OFF}")
        if not line.startswith(b" "):
            raise self.at(f"{_shown(line)} stands where {expected} is expected, after a space; {_EDITED}")
        try:
            return decode(line[1:-1])
        except ValueError as problem:
            raise self.at(f"{problem}; {_EDITED}") from None

    def _next_header(self, line: bytes) -> Header | None:
        if not line:
            return None
        values: dict[str, str] = {}
        database: bytes | None = None
        flags = 0
        while line != b"HEADER=END\n":
            keyword, equals, value = line.rstrip(b"\n").partition(b"=")
            if not line.endswith(b"\n"):
                raise self.at(f"the input ends where HEADER=END is expected; {_CUT_OFF}")
            if not equals:
                raise self.at(f"{_shown(line)} stands where keyword=value or HEADER=END is expected; {_EDITED}")
            word, text = keyword.decode("utf-8", "replace"), value.decode("utf-8", "replace")
            if word == "database":
                database = self._name(value)
            elif word in _definition.FLAGS:
                flags |= _definition.FLAGS[word] * (text != "0")
            else:
                values[word] = self._checked(word, text)
            line = self._read()
        return Header(
            database, values.get("format") == "print", flags, int(values.get("mapsize", "0")),
            int(values.get("maxreaders", "0")), self._line,
        )  # fmt: skip

    def _name(self, value: bytes) -> bytes:
        if not value or b"\0" in value:
            raise self.at(f"{value!r} is no name of a database; {_EDITED}")
        return value

    def _checked(self, word: str, text: str) -> str:
        """The value of a keyword, if it can be read."""
        if word in _NUMBERS:
            if not (text.isascii() and text.isdigit()):
                raise self.at(f"{word}={text!r} is no number; {_EDITED}")
        elif word in _ACCEPTED:
            if text not in _ACCEPTED[word]:
                readable = " or ".join(_ACCEPTED[word])
                raise self.at(f"{word}={text!r} cannot be read, only {readable}: dump with LMDB's mdb_dump")
        elif word not in _DERIVED:
            warnings.warn(f"line {self._line}: the unknown keyword {word!r} is ignored", stacklevel=2)
        return text


_ACCEPTED = {"VERSION": ("1", "2", "3"), "format": ("bytevalue", "print"), "type": ("btree",)}


def _shown(line: bytes) -> str:
    return repr(line.rstrip(b"\n")[:40])[1:]


def _from_bytevalue(text: bytes) -> bytes:
    try:
        return unhexlify(text)
    except HexError:
        raise ValueError(f"{_shown(text)} is not an even number of hexadecimal digits") from None


def _from_print(text: bytes) -> bytes:
    return _ESCAPE.sub(_unescape, text)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if code is None:
        raise ValueError("a backslash stands neither before another nor before two hexadecimal digits")
    return b"\\" if code == b"\\" else unhexlify(code)


# -- loading ---------------------------------------------------------------------------------------------------------


def load(env: Environment, source: BinaryIO | DumpReader, database: bytes | None = None) -> dict[bytes | None, int]:
    """Store what a dump holds, in one transaction: all of it or, where that fails, nothing.

    Databases that do not exist are made, with the flags of the dump; records replace those of the same key. Those that
    come in order, as ``mdb_dump`` writes them, are appended, which is fast and fills the pages.

    Args:
        env: the environment; neither its map size nor its readers are changed.
        source: a binary stream, or what reads one already.
        database: where records go for which the dump names no database; None for the main one.

    Returns:
        How many records the dump has for each database, by its name.

    Raises:
        DumpFormatError: the dump is damaged, or has what the environment cannot hold; the message has the number of
            the line.
        MapFullError: the environment is too small: open it with a larger ``map_size``, see :class:`Header`.
    """
    reader = source if isinstance(source, DumpReader) else DumpReader(source)
    main = _definition.flags_of(env.open_db())
    counts: dict[bytes | None, int] = {}
    try:
        with env.begin(write=True) as txn:
            while (header := reader.header) is not None:
                name = database if header.database is None else header.database
                counts[name] = counts.get(name, 0) + _load_database(env, txn, name, header, reader)
    except BaseException:
        if _definition.flags_of(env.open_db()) != main:
            _definition.reread_main(env)
        raise
    return counts


def _load_database(env: Environment, txn: Transaction, name: bytes | None, header: Header, reader: DumpReader) -> int:
    try:
        database = _definition.define(env, txn, name, header.flags)
    except IncompatibleError:
        raise reader.at(
            f"{_definition.label(name)} cannot be made in {env.path()}: a record of the main database has its name, or "
            "the main database has flags that allow no others. Load into another environment."
        ) from None
    flags = _definition.flags_of(database)
    if flags != header.flags:
        raise reader.at(
            f"{_definition.label(name)} of {env.path()} has the flags {_definition.words(flags)}, in the dump it has "
            f"{_definition.words(header.flags)}. Drop it first, or load into another environment."
        )
    append = True  # as long as they come in order
    count = 0
    for key, value in reader.records():
        _check_integers(reader, header.flags, key, value)
        try:
            append = append and txn.put(key, value, append=True, db=database)
            if not append:
                txn.put(key, value, db=database)
        except BadValsizeError:
            raise reader.at(
                f"the key has {len(key)} bytes and the value {len(value)}, which do not fit {_definition.label(name)}: "
                f"keys have 1 to {env.max_key_size()} bytes, and so have values if a key may have several. Load into "
                "LMDB 1.0, or change the record."
            ) from None
        except IncompatibleError:
            raise reader.at(
                f"the key {_shown(key)} is the name of a database in {env.path()}. Load into another environment."
            ) from None
        count += 1
    return count


def _check_integers(reader: DumpReader, flags: int, key: bytes, value: bytes) -> None:
    # LMDB trusts their lengths, and compares what stands beside a shorter one.
    for what, data, flag in (("key", key, INTEGERKEY), ("value", value, INTEGERDUP)):
        if flags & flag and len(data) not in (4, 8):
            raise reader.at(f"the {what} has {len(data)} bytes, but integers have 4 or 8; {_EDITED}")
