"""The exceptions: a class for each code, and what each says."""

from __future__ import annotations

import builtins
import errno
import os
import pickle

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import errors

# py-lmdb's class of each code, its MDB_NAME, its MDB_HINT, and LMDB's words.
TABLE = {
    -30799: ("KeyExistsError", "MDB_KEYEXIST", None, "Key/data pair already exists"),
    -30798: ("NotFoundError", "MDB_NOTFOUND", None, "No matching key/data pair found"),
    -30797: ("PageNotFoundError", "MDB_PAGE_NOTFOUND", None, "Requested page not found"),
    -30796: ("CorruptedError", "MDB_CORRUPTED", None, "Located page was wrong type"),
    -30795: ("PanicError", "MDB_PANIC", None, "Update of meta page failed or environment had fatal error"),
    -30794: ("VersionMismatchError", "MDB_VERSION_MISMATCH", None, "Database environment version mismatch"),
    -30793: ("InvalidError", "MDB_INVALID", None, "File is not an LMDB file"),
    -30792: ("MapFullError", "MDB_MAP_FULL", "Please use a larger Environment(map_size=) parameter",
             "Environment mapsize limit reached"),
    -30791: ("DbsFullError", "MDB_DBS_FULL", "Please use a larger Environment(max_dbs=) parameter",
             "Environment maxdbs limit reached"),
    -30790: ("ReadersFullError", "MDB_READERS_FULL", "Please use a larger Environment(max_readers=) parameter",
             "Environment maxreaders limit reached"),
    -30789: ("TlsFullError", "MDB_TLS_FULL", None, "Thread-local storage keys full - too many environments open"),
    -30788: ("TxnFullError", "MDB_TXN_FULL", "Please do less work within your transaction",
             "Transaction has too many dirty pages - transaction too big"),
    -30787: ("CursorFullError", "MDB_CURSOR_FULL", None, "Internal error - cursor stack limit reached"),
    -30786: ("PageFullError", "MDB_PAGE_FULL", None, "Internal error - page has no more space"),
    -30785: ("MapResizedError", "MDB_MAP_RESIZED", None, "Database contents grew beyond environment mapsize"),
    -30784: ("IncompatibleError", "MDB_INCOMPATIBLE", None, "Operation and DB incompatible, or DB flags changed"),
    -30783: ("BadRslotError", "MDB_BAD_RSLOT", None, "Invalid reuse of reader locktable slot"),
    -30782: ("BadTxnError", "MDB_BAD_TXN", None, "Transaction must abort, has a child, or is invalid"),
    -30781: ("BadValsizeError", "MDB_BAD_VALSIZE", None,
             "Unsupported size of key/DB name/data, or wrong DUPFIXED size"),
    -30780: ("BadDbiError", "MDB_BAD_DBI", None, "The specified DBI handle was closed/changed unexpectedly"),
    -30779: ("ProblemError", "MDB_PROBLEM", None, "Unexpected problem - txn should abort"),
    -30778: ("BadChecksumError", "MDB_BAD_CHECKSUM", None, "Page checksum mismatch"),
    -30777: ("CryptoFailError", "MDB_CRYPTO_FAIL", None, "Page encryption or decryption failed"),
    -30776: ("EnvEncryptionError", "MDB_ENV_ENCRYPTION", None, "Environment encryption mismatch"),
}  # fmt: skip

SYSTEM = {
    errno.EACCES: ("ReadonlyError", "EACCES"),
    errno.EINVAL: ("InvalidParameterError", "EINVAL"),
    errno.EAGAIN: ("LockError", "EAGAIN"),
    errno.ENOMEM: ("MemoryError", "ENOMEM"),
    errno.ENOSPC: ("DiskError", "ENOSPC"),
}


@pytest.mark.parametrize("code", TABLE)
def test_code_of_lmdb(code: int) -> None:
    """A return code of LMDB has its class, its name, LMDB's words and, for four of them, a hint."""
    name, mdb_name, hint, words = TABLE[code]
    raised = errors.error("what was tried", code)
    assert type(raised) is getattr(lmdb, name)
    assert (raised.what, raised.code, raised.reason) == ("what was tried", code, f"{mdb_name}: {words}")
    assert mdb_name == type(raised).MDB_NAME
    assert getattr(type(raised), "MDB_HINT", None) == hint
    message = f"what was tried: {mdb_name}: {words}" + (f" ({hint})" if hint else "")
    assert str(raised) == message
    assert raised.args == (message,)


@pytest.mark.parametrize("code", SYSTEM)
def test_code_of_the_system(code: int) -> None:
    """Five error numbers of the system have a class of their own."""
    name, mdb_name = SYSTEM[code]
    raised = errors.error("what was tried", code)
    assert type(raised) is getattr(lmdb, name)
    assert mdb_name == type(raised).MDB_NAME
    assert str(raised) == f"what was tried: {os.strerror(code)}"


def test_read_only_of_1_0() -> None:
    """LMDB 1.0 has a code of its own for what 0.9 calls EACCES: it is the same class."""
    raised = errors.error("mdb_put", -30770)
    assert type(raised) is lmdb.ReadonlyError
    assert str(raised) == "mdb_put: MDB_IS_READONLY: Can't write in readonly txn or environment"


@pytest.mark.parametrize("code", [-30700, -1, 1, errno.ENOENT, 99999])
def test_other_codes(code: int) -> None:
    """Any other code is an Error with whatever words there are for it."""
    raised = errors.error("what was tried", code)
    assert type(raised) is lmdb.Error
    assert raised.code == code
    assert str(raised) == f"what was tried: {raised.reason}"
    assert raised.reason


def test_words_of_the_system() -> None:
    """For an error number of the system the words are the system's."""
    assert lmdb.Error("path", errno.ENOENT).reason == os.strerror(errno.ENOENT)


def test_no_code() -> None:
    """Without a code the message is what was tried alone."""
    raised = lmdb.Error("what was tried")
    assert (raised.what, raised.code, raised.reason) == ("what was tried", 0, "Successful return: 0")
    assert raised.args == ("what was tried",)
    assert str(lmdb.MapFullError("what", 0)) == "what"


def test_gone() -> None:
    """The error of a closed object is a plain one without a code."""
    raised = errors.gone()
    assert type(raised) is lmdb.Error
    assert (str(raised), raised.code) == ("Attempt to operate on closed/deleted/dropped object.", 0)


def test_one_family() -> None:
    """Every exception is an Error, none is a built-in one of its name, and all are exported."""
    kinds = {name: kind for name, kind in vars(lmdb).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert set(kinds) == {"Error", *(row[0] for row in TABLE.values()), *(row[0] for row in SYSTEM.values())}
    assert all(issubclass(kind, lmdb.Error) for kind in kinds.values())
    assert set(kinds) <= set(lmdb.__all__)
    assert not issubclass(lmdb.MemoryError, builtins.MemoryError)
    assert lmdb.Error.__bases__ == (Exception,)


def test_without_a_name() -> None:
    """The base class has neither name nor hint."""
    assert not hasattr(lmdb.Error, "MDB_NAME")
    assert not hasattr(lmdb.Error, "MDB_HINT")


def test_across_processes() -> None:
    """An exception survives pickling with its class, its message and its attributes."""
    raised = pickle.loads(pickle.dumps(errors.error("mdb_put", -30792)))
    assert type(raised) is lmdb.MapFullError
    assert raised.what == "mdb_put"
    assert raised.code == -30792
    assert str(raised) == str(errors.error("mdb_put", -30792))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-30775, errors.TxnPendingError), (-30774, errors.CantRollbackError), (-30773, errors.DbisBusyError),
        (-30772, errors.ShortWriteError), (-30771, errors.EnvBusyError), (-30769, errors.AddrBusyError),
    ],
)  # fmt: skip
def test_classes_beyond_py_lmdb(code: int, kind: type[lmdb.Error]) -> None:
    """What py-lmdb raises as plain Error has classes here, which ``import *`` does not give."""
    raised = errors.error("what was tried", code)
    assert type(raised) is kind
    assert kind.__base__ is lmdb.Error
    assert kind.__name__ not in lmdb.__all__
    assert str(raised) == f"what was tried: {raised.reason}"
    assert raised.reason.startswith(kind.MDB_NAME)
