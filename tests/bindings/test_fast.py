"""``Transaction.get`` and ``put`` as built-in methods. What they give is compared with Python's own in ``test_paths``."""

from __future__ import annotations

import gc
import inspect
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import lmdb_bindings as lmdb
from lmdb_bindings import _fast
from lmdb_bindings._transaction import Transaction

Open = Callable[..., lmdb.Environment]
Python = Callable[..., str]

# By what must be so, and not by `why_not`: a library that cannot be loaded is a failure here.
pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or os.environ.get(_fast.SWITCH) == "0",
    reason="not for this interpreter, or the switch says so",
)

GONE = "Attempt to operate on closed/deleted/dropped object"


def is_fast(txn: lmdb.Transaction, name: str, *arguments: Any, **named: Any) -> bool:
    """Whether a call takes the short way: then no function of Python is called."""
    called = []

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    method = getattr(txn, name)
    gc.disable()  # what it finds may call Python
    sys.setprofile(watch)
    try:
        method(*arguments, **named)
    finally:
        sys.setprofile(None)
        gc.enable()
    return not called


def test_there_is_a_fast_way() -> None:
    """Nothing stands in its way, and the methods are built-in ones."""
    assert _fast.prove()
    assert _fast.why_not == ""
    assert not inspect.isfunction(Transaction.get)
    assert not inspect.isfunction(Transaction.put)


def test_the_usual_goes_the_short_way(env: lmdb.Environment) -> None:
    """No call of the usual kind is Python's, by any form of the arguments, in any database."""
    main, other = env.open_db(), env.open_db(b"other")
    with env.begin(write=True) as txn:
        assert is_fast(txn, "put", b"key", b"value")
        assert is_fast(txn, "put", b"key", b"value", db=main)
        assert is_fast(txn, "put", b"key", b"value", True, False, append=False, db=main)
        assert is_fast(txn, "get", b"key")
        assert is_fast(txn, "get", b"key", None, main)
        assert is_fast(txn, "get", b"none", default=b"", db=main)
        assert is_fast(txn, "get", b"key", db=other)
        assert is_fast(txn, "replace", b"key", b"other")
        assert is_fast(txn, "pop", b"key", db=main)
        assert is_fast(txn, "delete", b"key", b"", db=main)


@pytest.mark.parametrize("named", [{"overwrite": False}, {"append": True}, {"dupdata": False}])
def test_flags_that_are_no_bools_go_the_long_way(env: lmdb.Environment, named: dict[str, bool]) -> None:
    """A flag is a bool, or any object's truth."""
    with env.begin(write=True) as txn:
        assert is_fast(txn, "put", b"b", b"", **named)
        assert not is_fast(txn, "put", b"c", b"", **{name: int(flag) for name, flag in named.items()})
        assert txn.put(b"c", b"", overwrite=[]) is False  # type: ignore[arg-type]


def test_other_types_go_the_long_way(env: lmdb.Environment) -> None:
    """Buffers that are no bytes are keys and values too."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        assert txn.put(bytearray(b"key"), memoryview(b"other"))
        assert txn.get(memoryview(b"key")) == b"other"
        assert not is_fast(txn, "get", bytearray(b"key"))
        with pytest.raises(TypeError, match="from_buffer"):
            txn.get("key")  # type: ignore[call-overload]


def test_names_that_are_not_interned(env: lmdb.Environment) -> None:
    """A name of an argument that was made at run time is known all the same."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        name = b"default".decode()
        assert txn.get(b"none", **{name: b"given"}) == b"given"  # type: ignore[arg-type]


def test_wrong_calls(env: lmdb.Environment) -> None:
    """Too few or too many arguments, and unknown names, are Python's TypeErrors."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        wrong: list[Callable[[Any], object]] = [
            lambda txn: txn.get(), lambda txn: txn.get(b"k", None, None, None), lambda txn: txn.get(b"k", key=b"k"),
            lambda txn: txn.get(b"k", None, default=None), lambda txn: txn.put(b"k"),
            lambda txn: txn.put(b"k", b"v", data=b"v"), lambda txn: type(txn).get(), lambda txn: type(txn).get(txn),
        ]  # fmt: skip
        for call in wrong:
            with pytest.raises(TypeError):
                call(txn)
        with pytest.raises(TypeError, match="Transaction"):
            Transaction.get(env, b"key")  # type: ignore[call-overload]


def test_errors_of_lmdb(opened: Open) -> None:
    """An error of LMDB is raised by its class, once: the call is not done again."""
    txn = opened("small", map_size=1 << 16).begin(write=True)
    txn.put(b"key", b"value")
    with pytest.raises(lmdb.BadValsizeError, match="mdb_get"):
        txn.get(b"")
    with pytest.raises(lmdb.BadValsizeError, match="mdb_put"):
        txn.put(b"k" * 3000, b"")
    with pytest.raises(lmdb.MapFullError, match="mdb_put"):
        txn.put(b"large", bytes(1 << 17))
    with pytest.raises(lmdb.BadTxnError):
        txn.put(b"key", b"value")
    txn.abort()


def test_a_read_transaction_refuses_to_store(env: lmdb.Environment) -> None:
    """As Python's method does."""
    with env.begin() as txn:
        txn.get(b"key")
        with pytest.raises(lmdb.ReadonlyError):
            txn.put(b"key", b"value")


def test_the_end_is_the_end(env: lmdb.Environment) -> None:
    """Methods of transactions that have ended raise, those of a nested one too."""
    txn = env.begin(write=True)
    txn.put(b"key", b"value")
    child = env.begin(parent=txn, write=True)
    child.put(b"key", b"child")
    child.put(b"key", b"child")
    child.commit()
    assert txn.get(b"key") == b"child"
    get, put = txn.get, txn.put
    assert get(b"key") == b"child"
    txn.commit()
    for finished in (child, txn):
        with pytest.raises(lmdb.Error, match=GONE):
            finished.get(b"key")
        with pytest.raises(lmdb.Error, match=GONE):
            finished.put(b"key", b"value")
    with pytest.raises(lmdb.Error, match=GONE):
        get(b"key")
    with pytest.raises(lmdb.Error, match=GONE):
        put(b"key", b"value")


def test_a_parent_waits_for_its_child(env: lmdb.Environment) -> None:
    """While a nested transaction is open, its parent refuses, as LMDB does."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        txn.put(b"key", b"value")
        with env.begin(parent=txn, write=True), pytest.raises(lmdb.BadTxnError):
            txn.put(b"key", b"value")


def test_a_method_keeps_its_transaction(env: lmdb.Environment) -> None:
    """A method taken out of a transaction that nobody else has goes on."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    get = env.begin().get
    gc.collect()
    assert [get(b"key") for _ in range(3)] == [b"value"] * 3


def test_a_dropped_database(env: lmdb.Environment) -> None:
    """A handle that was dropped is refused, and another with its number is another database."""
    db = env.open_db(b"one")
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value", db=db)
        txn.put(b"key", b"value", db=db)
        txn.drop(db)
        with pytest.raises(lmdb.Error, match=GONE):
            txn.get(b"key", db=db)
        other = env.open_db(b"two", txn=txn)
        assert txn.get(b"key", db=other) is None
        with pytest.raises(lmdb.Error, match=GONE):
            txn.put(b"key", b"value", db=db)


def test_cursors_learn_of_every_write(env: lmdb.Environment) -> None:
    """While a cursor lives, writes are counted, so that it reads again what has moved."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"first")
        with txn.cursor() as cursor:
            cursor.set_key(b"key")
            assert is_fast(txn, "put", b"key", b"second, and longer")
            assert cursor.value() == b"second, and longer"
            txn.put(b"key", b"third")
            assert cursor.item() == (b"key", b"third")
        txn.put(b"key", b"fourth")
        assert is_fast(txn, "put", b"key", b"fifth")


def test_an_iteration_meets_writes(env: lmdb.Environment) -> None:
    """An iterator that has read ahead sees what is stored behind its place."""
    with env.begin(write=True) as txn:
        for number in range(9):
            txn.put(b"%d" % number, b"")
        found = []
        for key, value in txn.cursor():
            found.append((key, value))
            txn.put(b"5", key)
            txn.put(b"5", key)
        assert found[5] == (b"5", b"4")


def test_integer_keys_are_checked(env: lmdb.Environment) -> None:
    """Databases whose keys must have a size go the long way, which looks."""
    db = env.open_db(b"numbers", integerkey=True)
    with env.begin(write=True) as txn:
        txn.put(bytes(8), b"zero", db=db)
        txn.put(bytes(8), b"zero", db=db)
        for key in (b"", b"1", bytes(9)):
            with pytest.raises(lmdb.BadValsizeError):
                txn.get(key, db=db)


def test_views_go_the_long_way(env: lmdb.Environment) -> None:
    """With buffers=True values are views."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with env.begin(buffers=True) as views:
        assert [type(views.get(b"key")) for _ in range(3)] == [memoryview] * 3


def test_files_larger_than_memory_go_the_long_way(opened: Open) -> None:
    """With readahead=False the interpreter's lock is given back for every record."""
    env = opened("large", readahead=False)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        assert not is_fast(txn, "put", b"key", b"value")
        assert not is_fast(txn, "get", b"key")
        assert txn.get(b"key") == b"value"


def test_a_busy_transaction_is_waited_for(env: lmdb.Environment) -> None:
    """A call waits while another thread is at work in the transaction."""
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    txn = env.begin()
    txn.get(b"key")
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(txn.get(b"key")))
    with txn._lock:
        reader.start()
        reader.join(0.2)
        assert reader.is_alive()
        assert not found
    reader.join(10)
    assert found == [b"value"]


def test_closing_beside_readers(opened: Open) -> None:
    """An environment that is closed under readers gives them values, or the error, and nothing else."""
    for _ in range(20):
        env = opened("closing")
        with env.begin(write=True) as txn:
            txn.put(b"key", b"value")
        ended = []

        def read(env: lmdb.Environment = env, ended: list[str] = ended) -> None:
            try:
                txn = env.begin()
                while txn.get(b"key") == b"value":
                    pass
            except lmdb.Error as problem:
                ended.append(str(problem))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        env.close()
        for thread in threads:
            thread.join(30)
        assert len(ended) == 3
        assert all(GONE in words for words in ended)


def test_nothing_leaks(env: lmdb.Environment) -> None:
    """After many calls of every kind each object has the references that it had."""
    db, default, key, value = env.open_db(), object(), b"the key", b"the value" * 10
    with env.begin(write=True) as txn:
        txn.put(key, value)

        def calls(count: int) -> None:
            for _ in range(count):
                txn.get(key)
                txn.get(key, default, db)
                txn.get(b"none", default)
                txn.get(b"none", default=default, db=db)
                txn.put(key, value, db=db)
                txn.put(key, value)
                txn.get(bytearray(b"key"), default)
                with suppress(lmdb.BadValsizeError):
                    txn.get(b"")

        objects = (txn, db, default, key, value, None, True, txn._token, lmdb.Transaction, "db", "default")
        calls(100)
        gc.collect()
        before, blocks = [sys.getrefcount(thing) for thing in objects], sys.getallocatedblocks()
        calls(30_000)
        gc.collect()
        after, blocks_after = [sys.getrefcount(thing) for thing in objects], sys.getallocatedblocks()
        assert all(abs(was - now) < 50 for was, now in zip(before, after, strict=True))
        assert abs(blocks_after - blocks) < 300


def test_the_signatures_are_there() -> None:
    """``inspect`` and ``help()`` show the arguments."""
    assert str(inspect.signature(Transaction.get)) == "(self, /, key, default=None, db=None)"
    assert list(inspect.signature(Transaction.put).parameters) == [
        "self", "key", "value", "dupdata", "overwrite", "append", "db",
    ]  # fmt: skip
    assert "The value of a key" in str(Transaction.get.__doc__)


def test_subclasses(env: lmdb.Environment) -> None:
    """A class made of Transaction may have a method of its own, and call the one it stands for."""

    class Upper(Transaction[bytes]):
        def get(self, key: Any, default: Any = None, db: Any = None) -> Any:
            return super().get(key.upper(), default, db)

    with env.begin(write=True) as txn:
        txn.put(b"KEY", b"value")
    with Upper(env) as upper:
        assert [upper.get(b"key") for _ in range(3)] == [b"value"] * 3


def test_without_the_library(python: Python) -> None:
    """The switch turns it off, and says so; so does a library that is not there."""
    script = """
import lmdb_bindings as lmdb, liblmdb_wheel, sharedlib_loader
if {missing}:
    liblmdb_wheel.LMDB_FAST = sharedlib_loader.SharedLibrary(
        name="lmdb-fast", soname="liblmdb_fast.so.0", path="/none/liblmdb_fast.so.0", version="1", distribution="none"
    )
from lmdb_bindings import _fast
with lmdb.open("env") as env, env.begin(write=True) as txn:
    txn.put(b"key", b"value")
    print(txn.get(b"key"), type(lmdb.Transaction.get).__name__, _fast.why_not.split(":")[0])
"""
    assert python(script.format(missing=False), LMDB_BINDINGS_FAST="0") == "b'value' function LMDB_BINDINGS_FAST=0"
    found = python(script.format(missing=True))
    assert found.startswith("b'value' function ")
    assert "lmdb-fast" in found


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("found['get'] = lambda *_: b'another'", "get(b'key',): b'another', not b'value'"),
        ("found['pop'] = lambda txn, key, db=None: kept.append(key)", "pop"),
        (
            "get = found['get']; found['get'] = lambda txn, *a, **n: get(txn, *a, **n) or kept.append(a[0])",
            "references",
        ),
    ],
    ids=["a wrong result", "no result", "a reference kept"],
)
def test_what_fails_its_trial_is_not_used(python: Python, spoil: str, words: str) -> None:
    """Built-in methods that give something else, or keep references, are off before any file is opened by them."""
    script = f"""
import lmdb_bindings as lmdb
from lmdb_bindings import _fast, _transaction
kept, found = [], _fast.built_in["Transaction"]
{spoil}
assert not _fast.prove()
with lmdb.open("env") as env, env.begin(write=True) as txn:
    txn.put(b"key", b"value")
    print(env._functions, txn.get(b"key"), _fast.why_not)
"""
    found = python(script)
    assert found.startswith("0 b'value' the built-in methods fail their trial: AssertionError: ")
    assert words in found
