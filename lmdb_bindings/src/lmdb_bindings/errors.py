"""The exceptions: one class for each LMDB return code, with py-lmdb's names, attributes and messages."""

from __future__ import annotations

import errno

from lmdb_bindings import _constants as c
from lmdb_bindings._engine import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class Error(Exception):
    """An LMDB call failed, and no more specific class fits.

    Attributes:
        what: what was attempted: the C function, or the path.
        code: LMDB's return code or an errno; 0 where the binding itself refused.
        reason: the library's or the system's text for the code.
        record: of an operation on many records: the number, from 0, of the one that failed; else None.
    """

    MDB_NAME: ClassVar[str]
    MDB_HINT: ClassVar[str]

    def __init__(self, what: str, code: int = 0) -> None:
        self.what = what
        self.code = code
        self.reason = strerror(code)
        self.record: int | None = None
        message = what
        if code:
            message = f"{what}: {self.reason}"
            if hint := getattr(self, "MDB_HINT", None):
                message = f"{message} ({hint})"
        super().__init__(message)


class KeyExistsError(Error):
    """The key, or the pair of key and value, is there already."""

    MDB_NAME = "MDB_KEYEXIST"


class NotFoundError(Error):
    """There is no such key, pair, or named database."""

    MDB_NAME = "MDB_NOTFOUND"


class PageNotFoundError(Error):
    """A page that the tree refers to is not in the file, which is damaged."""

    MDB_NAME = "MDB_PAGE_NOTFOUND"


class CorruptedError(Error):
    """A page has the wrong type, so the file is damaged."""

    MDB_NAME = "MDB_CORRUPTED"


class PanicError(Error):
    """Writing the meta page failed, and the environment cannot be used any more."""

    MDB_NAME = "MDB_PANIC"


class VersionMismatchError(Error):
    """The environment belongs to another version of LMDB."""

    MDB_NAME = "MDB_VERSION_MISMATCH"


class InvalidError(Error):
    """The file is not one that this engine reads."""

    MDB_NAME = "MDB_INVALID"


class MapFullError(Error):
    """The map is full: ``map_size=`` is reached."""

    MDB_NAME = "MDB_MAP_FULL"
    MDB_HINT = "Please use a larger Environment(map_size=) parameter"


class DbsFullError(Error):
    """More named databases are open than ``max_dbs=`` allows."""

    MDB_NAME = "MDB_DBS_FULL"
    MDB_HINT = "Please use a larger Environment(max_dbs=) parameter"


class ReadersFullError(Error):
    """More readers are active than ``max_readers=`` allows."""

    MDB_NAME = "MDB_READERS_FULL"
    MDB_HINT = "Please use a larger Environment(max_readers=) parameter"


class TlsFullError(Error):
    """The process has no thread-local storage keys left."""

    MDB_NAME = "MDB_TLS_FULL"


class TxnFullError(Error):
    """The transaction has changed more pages than it can keep."""

    MDB_NAME = "MDB_TXN_FULL"
    MDB_HINT = "Please do less work within your transaction"


class CursorFullError(Error):
    """The tree is deeper than a cursor can follow."""

    MDB_NAME = "MDB_CURSOR_FULL"


class PageFullError(Error):
    """A page has no room where it must have some."""

    MDB_NAME = "MDB_PAGE_FULL"


class MapResizedError(Error):
    """Another process made the map larger than this environment's; see :meth:`Environment.set_mapsize`."""

    MDB_NAME = "MDB_MAP_RESIZED"


class IncompatibleError(Error):
    """The operation does not fit the database's flags."""

    MDB_NAME = "MDB_INCOMPATIBLE"


class BadRslotError(Error):
    """A slot of the reader table is used by somebody else."""

    MDB_NAME = "MDB_BAD_RSLOT"


class BadDbiError(Error):
    """The handle of the named database is not, or no longer, valid."""

    MDB_NAME = "MDB_BAD_DBI"


class BadTxnError(Error):
    """The transaction must abort, or has an open child."""

    MDB_NAME = "MDB_BAD_TXN"


class BadValsizeError(Error):
    """A key is empty or too long, or a value has the wrong length for the database."""

    MDB_NAME = "MDB_BAD_VALSIZE"


class ReadonlyError(Error):
    """A write was attempted where only reading is allowed."""

    MDB_NAME = "EACCES"


class InvalidParameterError(Error):
    """A parameter is not valid."""

    MDB_NAME = "EINVAL"


class LockError(Error):
    """Another process holds the lock."""

    MDB_NAME = "EAGAIN"


class MemoryError(Error):
    """There is not enough memory."""

    MDB_NAME = "ENOMEM"


class DiskError(Error):
    """There is no space left on the disk."""

    MDB_NAME = "ENOSPC"


class ProblemError(Error):
    """LMDB met something unexpected; the transaction should be aborted."""

    MDB_NAME = "MDB_PROBLEM"


class BadChecksumError(Error):
    """A page does not match its checksum."""

    MDB_NAME = "MDB_BAD_CHECKSUM"


class CryptoFailError(Error):
    """A page cannot be encrypted or decrypted."""

    MDB_NAME = "MDB_CRYPTO_FAIL"


class EnvEncryptionError(Error):
    """The environment is encrypted and was opened as plain, or the other way about."""

    MDB_NAME = "MDB_ENV_ENCRYPTION"


# py-lmdb has no classes for the codes below, and raises plain Error: so these are known here alone, as its subclasses.


class TxnPendingError(Error):
    """The transaction was prepared already."""

    MDB_NAME = "MDB_TXN_PENDING"


class CantRollbackError(Error):
    """The last transaction cannot be rolled back."""

    MDB_NAME = "MDB_CANT_ROLLBACK"


class DbisBusyError(Error):
    """The main database cannot be dropped while handles of others are open."""

    MDB_NAME = "MDB_DBIS_BUSY"


class ShortWriteError(Error):
    """The system has written less than it was asked to."""

    MDB_NAME = "MDB_SHORT_WRITE"


class EnvBusyError(Error):
    """The environment is in use, so the previous snapshot cannot be."""

    MDB_NAME = "MDB_ENV_BUSY"


class AddrBusyError(Error):
    """The requested address of the map is not available."""

    MDB_NAME = "MDB_ADDR_BUSY"


_CLASSES: dict[int, type[Error]] = {
    c.KEYEXIST: KeyExistsError,
    c.NOTFOUND: NotFoundError,
    c.PAGE_NOTFOUND: PageNotFoundError,
    c.CORRUPTED: CorruptedError,
    c.PANIC: PanicError,
    c.VERSION_MISMATCH: VersionMismatchError,
    c.INVALID: InvalidError,
    c.MAP_FULL: MapFullError,
    c.DBS_FULL: DbsFullError,
    c.READERS_FULL: ReadersFullError,
    c.TLS_FULL: TlsFullError,
    c.TXN_FULL: TxnFullError,
    c.CURSOR_FULL: CursorFullError,
    c.PAGE_FULL: PageFullError,
    c.MAP_RESIZED: MapResizedError,
    c.INCOMPATIBLE: IncompatibleError,
    c.BAD_RSLOT: BadRslotError,
    c.BAD_TXN: BadTxnError,
    c.BAD_VALSIZE: BadValsizeError,
    c.BAD_DBI: BadDbiError,
    c.PROBLEM: ProblemError,
    c.BAD_CHECKSUM: BadChecksumError,
    c.CRYPTO_FAIL: CryptoFailError,
    c.ENV_ENCRYPTION: EnvEncryptionError,
    c.TXN_PENDING: TxnPendingError,
    c.CANT_ROLLBACK: CantRollbackError,
    c.DBIS_BUSY: DbisBusyError,
    c.SHORT_WRITE: ShortWriteError,
    c.ENV_BUSY: EnvBusyError,
    c.ADDR_BUSY: AddrBusyError,
    c.IS_READONLY: ReadonlyError,
    errno.EACCES: ReadonlyError,
    errno.EINVAL: InvalidParameterError,
    errno.EAGAIN: LockError,
    errno.ENOMEM: MemoryError,
    errno.ENOSPC: DiskError,
}

# What py-lmdb exports, and nothing else.
__all__ = [
    "BadChecksumError",
    "BadDbiError",
    "BadRslotError",
    "BadTxnError",
    "BadValsizeError",
    "CorruptedError",
    "CryptoFailError",
    "CursorFullError",
    "DbsFullError",
    "DiskError",
    "EnvEncryptionError",
    "Error",
    "IncompatibleError",
    "InvalidError",
    "InvalidParameterError",
    "KeyExistsError",
    "LockError",
    "MapFullError",
    "MapResizedError",
    "MemoryError",
    "NotFoundError",
    "PageFullError",
    "PageNotFoundError",
    "PanicError",
    "ProblemError",
    "ReadersFullError",
    "ReadonlyError",
    "TlsFullError",
    "TxnFullError",
    "VersionMismatchError",
]


def error(what: str, code: int) -> Error:
    """The exception for a return code: the class made for it, else :class:`Error`."""
    return _CLASSES.get(code, Error)(what, code)


def at_record(record: int, problem: Error) -> Error:
    """An exception of an operation on many records, with the number of the one that failed."""
    problem.record = record
    return problem


def gone() -> Error:
    """The exception for the use of an object that is closed, finished or dropped."""
    return Error("Attempt to operate on closed/deleted/dropped object.")


def in_a_call() -> Error:
    """The exception for a write in a transaction, or the end of an object, in the middle of a call that uses it."""
    return Error(
        "A call of this thread uses it, and this one comes in the middle of that (by a handler of a signal, a "
        "finalizer, or an argument): it may read, and neither write nor end anything."
    )
