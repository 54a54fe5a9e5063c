"""Memory of built-in methods that was used when it was gone, or was of something else: each in a process of its own,
which must not crash.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from lmdb_bindings import _fast

Python = Callable[..., str]

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or os.environ.get(_fast.SWITCH) == "0",
    reason="not for this interpreter, or the switch says so",
)

OPEN = """
import gc, os, signal, sys
import lmdb_bindings as lmdb
from lmdb_bindings import Cursor, Environment, Transaction
env = lmdb.open("env", map_size=1 << 22, max_dbs=4)
with env.begin(write=True) as txn:
    txn.putmany([(b"%d" % number, b"value") for number in range(9)])
del txn
"""
REUSE = "\njunk = [bytes(size) for size in range(100, 600)]\n"


@pytest.mark.parametrize("depth", [*range(40, 56), *range(9990, 10002)])
def test_an_object_whose_end_is_put_off_is_not_ended_twice(python: Python, depth: int) -> None:
    """In deeply nested containers CPython frees later what has no references any more."""
    script = f"""
class Closer:
    def __del__(self):
        env.close()
txn = env.begin()
cursor = txn.cursor()
chain = [txn, cursor]
del txn, cursor
for _ in range({depth}):
    chain = [chain]
outer = [Closer(), chain]
del chain, outer
gc.collect()
"""
    assert python(OPEN + script + REUSE) == ""


@pytest.mark.parametrize("what", ["txn", "cursor"])
@pytest.mark.parametrize("how", ["{0}.__class__ = Own", "type({0}).__del__ = Own.__del__"])
def test_a_finalizer_of_the_users_leaves_nothing_behind(python: Python, what: str, how: str) -> None:
    """What is light leaves its owner's list when it is freed, whoever's its finalizer was."""
    script = f"""
txn = env.begin()
cursor = txn.cursor()
class Own(type({what})):
    __slots__ = ()
    def __del__(self):
        pass
{how.format(what)}
del {what}
gc.collect()
{REUSE}
env.begin().cursor().first()
if "{what}" == "cursor":
    txn.commit()
env.close()
"""
    assert python(OPEN + script) == ""


def test_only_true_classes_are_believed(python: Python) -> None:
    """isinstance() can be told anything; C follows what it is given."""
    script = """
from unittest.mock import Mock
class Fake(bytes):
    pass
Transaction.register(Fake)
database = env.open_db()
for fake in (Fake(b"A" * 400), Mock(spec=Transaction), None, env):
    cursor = Cursor.__new__(Cursor)
    for arguments in ((database, fake), (fake, env.begin())):
        try:
            cursor.__init__(*arguments)
        except (lmdb.Error, AttributeError):
            pass
        else:
            print("taken", arguments)
        for method in (cursor.first, cursor.item, cursor.count, cursor.close, cursor.delete, lambda: list(cursor)):
            try:
                method()
            except (lmdb.Error, AttributeError):
                pass
for owned, name in ((env.begin(), "env"), (env.begin().cursor(), "txn"), (env.begin().cursor(), "db")):
    try:
        setattr(owned, name, None)
    except AttributeError:
        continue
    print("assigned", name)
"""
    assert python(OPEN + script) == ""


@pytest.mark.parametrize("action", ["txn.abort()", "cursors.append(txn.cursor()); cursors[-1].first()", "env.close()"])
@pytest.mark.parametrize("call", ["txn.id()", "light.count()", "txn.stat()"])
def test_finalizers_do_as_they_like_while_something_is_woken(python: Python, action: str, call: str) -> None:
    """The collector may run wherever Python makes what a light transaction or cursor lacks."""
    script = f"""
env.close()
cursors = []
class Trash:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        try:
            {action}
        except lmdb.Error:
            pass
for allocations in range(1, 40):
    env = lmdb.open("env", map_size=1 << 22)
    txn = env.begin()
    light = txn.cursor()
    gc.collect()
    gc.disable()
    Trash()
    gc.set_threshold(gc.get_count()[0] + allocations, 10, 10)
    gc.enable()
    try:
        {call}
    except lmdb.Error:
        pass
    gc.disable()
    for thing in (light, *cursors):
        try:
            thing.item()
        except lmdb.Error:
            pass
    txn.abort()
    env.close()
    cursors.clear()
    gc.collect()
"""
    assert python(OPEN + script + REUSE) == ""


def test_a_handle_of_an_environment_that_is_gone_is_no_others(python: Python) -> None:
    """Objects have addresses that others had; an environment has a number that no other has."""
    script = """
class Lost(Environment):
    def __del__(self):
        pass
lost = Lost("lost", map_size=1 << 22, max_dbs=4)
database = lost.open_db(b"name")
was = id(lost)
del lost
gc.collect()
kept = []
while len(kept) < 100_000:
    kept.append(Environment.__new__(Environment))
    if id(kept[-1]) == was:
        kept[-1].__init__("other", map_size=1 << 22, max_dbs=4)
        other = kept[-1].open_db(b"other")
        with kept[-1].begin(write=True) as txn:
            txn.put(b"key", b"of another", db=other)
            try:
                print(txn.get(b"key", db=database))
            except lmdb.Error as problem:
                assert "another environment" in str(problem), problem
        break
"""
    assert python(OPEN + script) == ""


def test_an_environment_is_opened_once(python: Python) -> None:
    """A second ``__init__`` would give its old transactions to new files."""
    script = """
try:
    env.__init__("other")
except lmdb.Error as problem:
    print(problem)
"""
    assert python(OPEN + script) == "An environment is opened once: make another."


# -- the trial ---------------------------------------------------------------------------------------------------------


def test_what_others_do_meanwhile_is_no_fault(python: Python) -> None:
    """The trial passes while methods are wrapped, garbage is collected, and threads come first at once."""
    script = """
import sys, threading
import lmdb_bindings as lmdb
from lmdb_bindings import _fast, Transaction
called = []
def wrapped(method):
    def wrapper(*arguments, **named):
        called.append(arguments)
        return method(*arguments, **named)
    return wrapper
for name in ("get", "put", "abort", "__enter__"):
    setattr(Transaction, name, wrapped(getattr(Transaction, name)))
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=_fast.prove) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(_fast.prove(), len(called))
"""
    assert python(script) == "True 0"


def test_an_interruption_of_the_trial_is_raised(python: Python) -> None:
    """And nothing is decided by it."""
    script = """
import lmdb_bindings as lmdb
from lmdb_bindings import _fast, _fast_trial
found = _fast.built_in["Transaction"]
get = found["get"]
def interrupted(*_):
    raise KeyboardInterrupt
found["get"] = interrupted
try:
    lmdb.open("env")
except KeyboardInterrupt:
    print("interrupted", end=" ")
found["get"] = get
print(lmdb.open("env") is not None, _fast.prove())
"""
    assert python(script) == "interrupted True True"
