"""Transactions: reading and writing, nesting, taking turns, and what is kept of one that has ended."""

from __future__ import annotations

import array
import errno
import mmap
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lmdb_bindings as lmdb

GONE = r"^Attempt to operate on closed/deleted/dropped object\.$"
BAD_TXN = r"MDB_BAD_TXN: Transaction must abort, has a child, or is invalid$"

Open = Callable[..., lmdb.Environment]


def fill(env: lmdb.Environment, *keys: bytes) -> None:
    with env.begin(write=True) as txn:
        for key in keys:
            assert txn.put(key, key.upper())


def run(*functions: Callable[[], object]) -> None:
    """Run each in a thread of its own, to the end of all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# -- keys and values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data), lambda data: memoryview(b"x" + data)[1:]],
    ids=["bytes", "bytearray", "memoryview", "array", "slice"],
)  # fmt: skip
def test_buffers_as_keys_and_values(env: lmdb.Environment, kind: Callable[[bytes], Any]) -> None:
    """Keys and values may be any contiguous buffer."""
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert txn.put(kind(b"key"), kind(b"value"))
        assert txn.get(kind(b"key")) == b"value"
        assert cursor.set_key(kind(b"key"))
        assert cursor.set_range(kind(b"kex"))
        assert cursor.get(kind(b"key")) == b"value"
        assert cursor.put(kind(b"other"), kind(b""))
        assert list(txn.cursor()) == [(b"key", b"value"), (b"other", b"")]
        assert txn.delete(kind(b"key"), kind(b""))


def test_buffer_of_wide_items(env: lmdb.Environment) -> None:
    """Of a buffer the bytes count, not the items."""
    with env.begin(write=True) as txn, mmap.mmap(-1, 4096) as anonymous:
        txn.put(array.array("I", [1, 2]), anonymous)
        assert list(txn.cursor()) == [(array.array("I", [1, 2]).tobytes(), bytes(4096))]


def test_buffers_are_let_go(env: lmdb.Environment) -> None:
    """A buffer is not held after the call, so a bytearray can be resized, and its new content is not read."""
    key, value = bytearray(b"key"), bytearray(b"value")
    with env.begin(write=True) as txn:
        txn.put(key, value)
        txn.get(key)
        txn.delete(key, value)
        txn.cursor().put(key, value)
        key += b"!"
        value.clear()
        assert list(txn.cursor()) == [(b"key", b"value")]


@pytest.mark.parametrize("wrong", ["text", 5, None, 1.5, [b"list"]])
def test_what_is_no_buffer(env: lmdb.Environment, wrong: Any) -> None:
    """A str, and whatever else is no buffer, is a TypeError, and nothing is written."""
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
        for use in (
            lambda: txn.get(wrong), lambda: txn.put(wrong, b""), lambda: txn.put(b"key", wrong), lambda: txn.delete(wrong),
            lambda: cursor.set_key(wrong), lambda: cursor.set_range(wrong), lambda: cursor.get(wrong),
            lambda: cursor.set_key_dup(wrong, b""), lambda: cursor.put(wrong, b""), lambda: cursor.put(b"key", wrong),
        ):  # fmt: skip
            with pytest.raises(TypeError):
                use()
        assert txn.stat()["entries"] == 0


def test_scattered_buffer(env: lmdb.Environment) -> None:
    """A buffer that is not contiguous is refused."""
    with env.begin(write=True) as txn, pytest.raises(BufferError, match="not C-contiguous"):
        txn.put(memoryview(b"scattered")[::2], b"")


def test_key_sizes(env: lmdb.Environment) -> None:
    """A key has from one byte to max_key_size() bytes, everywhere."""
    longest = env.max_key_size()
    assert longest == (511 if env.lib_version() < (1,) else 1978)
    with env.begin(write=True) as txn:
        cursor = txn.cursor()
        assert txn.put(b"k", b"")
        assert txn.put(b"x" * longest, b"")
        assert cursor.set_key(b"x" * longest)
        assert txn.delete(b"x" * longest)
        for key in (b"", b"x" * (longest + 1)):
            for what, use in (
                ("mdb_put", lambda key=key: txn.put(key, b"")),
                ("mdb_cursor_put", lambda key=key: cursor.put(key, b"")),
            ):
                with pytest.raises(lmdb.BadValsizeError, match=f"^{what}: MDB_BAD_VALSIZE: Unsupported size of key"):
                    use()
        for what, use in (
            ("mdb_get", lambda: txn.get(b"")),
            ("mdb_del", lambda: txn.delete(b"")),
            ("mdb_cursor_get", lambda: cursor.set_key(b"")),
            ("mdb_cursor_get", lambda: cursor.get(b"")),
        ):
            with pytest.raises(lmdb.BadValsizeError, match=f"^{what}: MDB_BAD_VALSIZE: "):
                use()


def test_value_sizes(env: lmdb.Environment) -> None:
    """A value may be larger than a page, and one of a dupsort database may be as long as a key."""
    large, longest = bytes(range(256)) * 4096, env.max_key_size()
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True) as txn:
        assert txn.put(b"large", large)
        assert txn.put(b"key", b"x" * longest, db=database)
        with pytest.raises(lmdb.BadValsizeError, match=r"^mdb_put: MDB_BAD_VALSIZE: "):
            txn.put(b"key", b"x" * (longest + 1), db=database)
    with env.begin() as txn:
        assert txn.get(b"large") == large


def test_default_is_given_back(env: lmdb.Environment) -> None:
    """get() gives the very default where there is no such key, also with buffers."""
    default = object()
    for buffers in (False, True):
        with env.begin(buffers=buffers) as txn:
            assert txn.get(b"none", default) is default
            assert txn.cursor().get(b"none", default) is default


def test_appending(env: lmdb.Environment) -> None:
    """append=True takes keys in their order, and refuses one that is not the largest."""
    with env.begin(write=True) as txn:
        assert txn.put(b"b", b"", append=True)
        assert txn.put(b"c", b"", append=True)
        assert txn.put(b"a", b"", append=True) is False
        assert txn.cursor().put(b"bb", b"", append=True) is False
        assert list(txn.cursor().iternext(values=False)) == [b"b", b"c"]


def test_appending_values(env: lmdb.Environment) -> None:
    """In a dupsort database append=True takes the values of a key in their order."""
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        assert txn.put(b"k", b"2", append=True)
        assert txn.put(b"k", b"3", append=True)
        assert txn.put(b"k", b"1", append=True) is False
        assert txn.cursor().put(b"k", b"4", append=True)
        assert list(txn.cursor()) == [(b"k", b"2"), (b"k", b"3"), (b"k", b"4")]


def test_overwriting_values(env: lmdb.Environment) -> None:
    """In a dupsort database overwrite=False refuses a key that has a value, and dupdata=False a pair that is there."""
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        assert txn.put(b"k", b"1", overwrite=False)
        assert txn.put(b"k", b"2", overwrite=False) is False
        assert txn.put(b"k", b"1", dupdata=True)
        assert txn.put(b"k", b"1", dupdata=False) is False
        assert txn.put(b"k", b"2", dupdata=False)
        assert list(txn.cursor()) == [(b"k", b"1"), (b"k", b"2")]


@pytest.mark.parametrize("value", [b"", bytearray(), None])
def test_deleting_all_values(env: lmdb.Environment, value: Any) -> None:
    """Without a value, or with an empty one or None as in py-lmdb, delete() deletes all values of the key."""
    database = env.open_db(b"dup", dupsort=True)
    with env.begin(write=True, db=database) as txn:
        for pair in ((b"k", b"1"), (b"k", b"2"), (b"m", b"1")):
            txn.put(*pair)
        assert txn.delete(b"k", value)
        assert list(txn.cursor()) == [(b"m", b"1")]


def test_value_of_a_plain_record(env: lmdb.Environment) -> None:
    """Without dupsort the value that delete() is given does not matter."""
    fill(env, b"a")
    with env.begin(write=True) as txn:
        assert txn.delete(b"a", b"other")


# -- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["commit", "abort"])
@pytest.mark.parametrize("write", [True, False])
def test_ended_in_its_block(env: lmdb.Environment, end: str, write: bool) -> None:
    """A block whose transaction has ended within it ends quietly."""
    with env.begin(write=write) as txn:
        if write:
            txn.put(b"key", b"value")
        getattr(txn, end)()
    assert env.stat()["entries"] == (write and end == "commit")
    with pytest.raises(lmdb.Error, match=GONE):
        txn.commit()
    txn.abort()
    with pytest.raises(lmdb.Error, match=GONE):
        txn.__enter__()


def test_closed_in_its_block(opened: Open) -> None:
    """A block whose environment is closed within it ends quietly, and nothing is written."""
    env = opened()
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value")
        env.close()
    assert opened().stat()["entries"] == 0


def test_exception_after_the_end(env: lmdb.Environment) -> None:
    """An exception that leaves a block after the end of its transaction goes on, and the commit stays."""

    def fail(txn: lmdb.Transaction) -> None:
        txn.put(b"key", b"value")
        txn.commit()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), env.begin(write=True) as txn:
        fail(txn)
    assert env.stat()["entries"] == 1


def test_numbers(env: lmdb.Environment) -> None:
    """A write transaction has the next number, a read transaction that of its snapshot."""
    reader = env.begin()
    for number in (1, 2, 3):
        with env.begin(write=True) as txn:
            assert txn.id() == number
            txn.put(b"key", b"%d" % number)
    assert (reader.id(), env.begin().id(), env.info()["last_txnid"]) == (0, 3, 3)


def test_snapshots(env: lmdb.Environment) -> None:
    """A read transaction sees what was there when it began, and a thread may have several."""
    readers = []
    for number in range(4):
        readers.append(env.begin())
        fill(env, b"%d" % number)
    assert [reader.stat()["entries"] for reader in readers] == [0, 1, 2, 3]


# -- nesting ---------------------------------------------------------------------------------------------------------


def test_three_levels(env: lmdb.Environment) -> None:
    """What a nested transaction commits is its parent's, to commit or to abort."""
    with env.begin(write=True) as one:
        one.put(b"1", b"")
        with env.begin(write=True, parent=one) as two:
            two.put(b"2", b"")
            with env.begin(write=True, parent=two) as three:
                assert three.get(b"1") == three.get(b"2") == b""
                three.put(b"3", b"")
            lost = env.begin(write=True, parent=two)
            lost.put(b"lost", b"")
            lost.abort()
        assert list(one.cursor().iternext(values=False)) == [b"1", b"2", b"3"]


def test_parent_waits_for_its_child(env: lmdb.Environment) -> None:
    """While a nested transaction is open, its parent cannot be used, nor have another, but it can end."""
    parent = env.begin(write=True)
    parent.put(b"key", b"1")
    child = env.begin(write=True, parent=parent)
    for use in (
        lambda: parent.get(b"key"), lambda: parent.put(b"key", b"2"), lambda: parent.delete(b"key"), parent.cursor,
        lambda: env.begin(write=True, parent=parent), lambda: env.open_db(b"db", parent),
    ):  # fmt: skip
        with pytest.raises(lmdb.BadTxnError, match=BAD_TXN):
            use()
    child.abort()
    assert parent.get(b"key") == b"1"
    parent.commit()


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_parent_ends_its_children(env: lmdb.Environment, end: str) -> None:
    """The end of a transaction aborts what is nested in it, cursors and all."""
    parent = env.begin(write=True)
    parent.put(b"parent", b"")
    child = env.begin(write=True, parent=parent)
    grandchild = env.begin(write=True, parent=child)
    grandchild.put(b"grandchild", b"")
    cursor = grandchild.cursor()
    getattr(parent, end)()
    for use in (child.commit, grandchild.commit, cursor.first, lambda: grandchild.get(b"parent")):
        with pytest.raises(lmdb.Error, match=GONE):
            use()
    assert env.stat()["entries"] == (end == "commit")
    fill(env, b"next")


def test_cursor_of_the_parent(env: lmdb.Environment) -> None:
    """A cursor of the parent is where it was after the child, and reads what the child has committed."""
    fill(env, b"a", b"b", b"c")
    for end, expected in (("abort", b"B"), ("commit", b"changed")):
        with env.begin(write=True) as parent:
            cursor = parent.cursor()
            assert cursor.set_key(b"b")
            child = env.begin(write=True, parent=parent)
            child.put(b"b", b"changed")
            for number in range(1000):
                child.put(b"b%d" % number, b"x" * 100)
            getattr(child, end)()
            assert cursor.item() == (b"b", expected)
            parent.abort()


@pytest.mark.parametrize("write", [True, False])
def test_nothing_nests_in_a_reader(env: lmdb.Environment, write: bool) -> None:
    """A read transaction has no nested ones."""
    with pytest.raises(
        lmdb.InvalidParameterError, match=r"^Read-only transactions cannot be nested\.: Invalid argument$"
    ):
        env.begin(parent=env.begin(), write=write)


def test_parent_of_another_environment(opened: Open) -> None:
    """A transaction nests in one of its own environment."""
    one, two = opened("one"), opened("two")
    message = r"^Parent transaction belongs to another environment\.: Invalid argument$"
    with one.begin(write=True) as txn, pytest.raises(lmdb.InvalidParameterError, match=message):
        two.begin(parent=txn, write=True)


def test_parent_that_has_ended(env: lmdb.Environment) -> None:
    """A transaction that has ended has no nested ones."""
    parent = env.begin(write=True)
    parent.commit()
    with pytest.raises(lmdb.Error, match=GONE):
        env.begin(write=True, parent=parent)
    fill(env, b"next")


def test_nesting_needs_copies_of_pages(opened: Open, engine: int) -> None:
    """With writemap LMDB cannot nest, and the write transaction goes on."""
    env = opened(writemap=True)
    refusal = [lmdb.BadTxnError, lmdb.InvalidParameterError][engine]
    with env.begin(write=True) as txn:
        with pytest.raises(refusal, match=r"^mdb_txn_begin: (MDB_BAD_TXN: .*|Invalid argument)$"):
            env.begin(write=True, parent=txn)
        assert txn.put(b"key", b"value")


def test_read_only_children_of_0_9(opened: Open) -> None:
    """LMDB 0.9 has no read-only nested transactions."""
    message = r"^Read-only child transactions require the LMDB 1\.0 engine\.: Invalid argument$"
    env = opened(lib_version=0)
    with env.begin(write=True) as txn, pytest.raises(lmdb.InvalidParameterError, match=message):
        env.begin(parent=txn)


@pytest.mark.counts_references
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_read_only_children_of_1_0(opened: Open, order: tuple[int, ...], end: str) -> None:
    """LMDB 1.0 has as many as one likes at once; they end in any order, and more may begin between.

    With so many databases LMDB's transactions have memory of their own from the system, and one that is used after it
    was freed is a crash.
    """
    env = opened(lib_version=1, max_dbs=50_000)
    with env.begin(write=True) as parent:
        parent.put(b"key", b"value")
        children = [env.begin(parent=parent) for _ in order]
        cursors = [child.cursor() for child in children]
        for number in order:
            assert cursors[number].first()
            assert children[number].get(b"key") == b"value"
            getattr(children[number], end)()
            with pytest.raises(lmdb.Error, match=GONE):
                cursors[number].first()
            if number != order[-1]:
                assert env.begin(parent=parent).get(b"key") == b"value"
        assert parent.put(b"more", b"value")
        leftover = env.begin(parent=parent)
    with pytest.raises(lmdb.Error, match=GONE):
        leftover.get(b"key")
    assert env.stat()["entries"] == 2


# -- turns -----------------------------------------------------------------------------------------------------------


def test_second_writer_of_a_thread(env: lmdb.Environment) -> None:
    """A second write transaction on a thread is refused in py-lmdb's words, and the first goes on."""
    with env.begin(write=True) as txn:
        with pytest.raises(lmdb.Error) as caught:
            env.begin(write=True)
        assert str(caught.value) == (
            "Attempt to start a write transaction while another write transaction is active on the same thread. "
            "This would deadlock.: Device or resource busy"
        )
        assert caught.value.code == errno.EBUSY
        assert txn.put(b"key", b"value")
    fill(env, b"next")


def test_writers_come_in_turn(env: lmdb.Environment) -> None:
    """Every writer gets its turn among others that write again and again."""
    counts = dict.fromkeys("abc", 0)

    def write(name: str) -> None:
        while min(counts.values()) < 3:
            with env.begin(write=True) as txn:
                txn.put(b"key", b"value")
                counts[name] += 1

    run(*(lambda name=name: write(name) for name in counts))
    assert min(counts.values()) >= 3


@pytest.mark.counts_references
def test_turn_after_an_abort(env: lmdb.Environment) -> None:
    """The next writer begins when the transaction before is aborted, fails, or is dropped."""
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with env.begin(write=True):
            order.append("second")

    for end in ("abort", "drop", "fail"):
        waiting.clear()
        txn = env.begin(write=True)
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        order.append(end)
        if end == "abort":
            txn.abort()
        elif end == "fail":
            with pytest.raises(lmdb.BadValsizeError), txn:
                txn.put(b"", b"")
        del txn
        thread.join()
    assert order == ["abort", "second", "drop", "second", "fail", "second"]


def test_close_gets_its_turn(opened: Open) -> None:
    """close() comes to its turn among writers that never rest, which then find the environment closed."""
    env = opened(sync=False)
    written, ends = threading.Semaphore(0), []

    def write() -> None:
        try:
            while True:
                with env.begin(write=True) as txn:
                    txn.put(b"key", b"value")
                    written.release()
        except lmdb.Error as error:
            ends.append(str(error))

    def close() -> None:
        for _ in range(10):
            written.acquire()
        env.close()

    run(write, write, close)
    assert ends == ["Attempt to operate on closed/deleted/dropped object."] * 2
    assert opened().stat()["entries"] == 1


def test_threads_share_a_reader(env: lmdb.Environment) -> None:
    """Threads may read in one transaction at the same time, and each gets what it asked for."""
    fill(env, *(b"%d" % number for number in range(100)))
    wrong = []

    with env.begin(write=True) as txn:
        for number in range(100):
            txn.put(b"%d" % number, b"%d" % number * 100)

    with env.begin() as txn:

        def read(start: int) -> None:
            for number in range(start, start + 3000):
                key = b"%d" % (number % 100)
                if txn.get(key) != key * 100:
                    wrong.append(key)

        run(*(lambda start=start: read(start) for start in (0, 25, 50, 75)))
    assert wrong == []


# -- spare transactions ------------------------------------------------------------------------------------------------


def test_spare_transactions_are_used_again(opened: Open) -> None:
    """Spare transactions keep their reader slots, and serve the next readers, each on the newest snapshot."""
    env = opened(max_readers=2, max_spare_txns=2)
    for number in range(3):
        fill(env, b"%d" % number)
        first, second = env.begin(), env.begin()
        assert first.stat()["entries"] == second.stat()["entries"] == number + 1
        with pytest.raises(lmdb.ReadersFullError):
            env.begin()
        first.commit()
        second.abort()


def test_more_than_the_spare_ones_are_freed(opened: Open) -> None:
    """No more than max_spare_txns are kept."""
    env = opened(max_readers=3, max_spare_txns=1)
    readers = [env.begin() for _ in range(3)]
    for reader in readers:
        reader.abort()
    assert len(env._spare) == 1


def growth(env: lmdb.Environment) -> int:
    """By how many pages the file grows when a record is written again and again."""
    before = env.info()["last_pgno"]
    for _ in range(100):
        with env.begin(write=True) as txn:
            txn.put(b"key", b"x" * 10_000)
    return env.info()["last_pgno"] - before


def test_spare_transaction_holds_no_snapshot(opened: Open) -> None:
    """A spare transaction does not keep old pages from being used again; a reader does."""
    env = opened(max_spare_txns=1, sync=False)
    growth(env)
    reader = env.begin()
    held = growth(env)
    reader.abort()
    assert len(env._spare) == 1
    growth(env)
    assert growth(env) == 0
    assert held > 100


# -- views -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [True, False])
def test_everything_is_a_view(env: lmdb.Environment, write: bool) -> None:
    """With buffers=True everything that is read is a read-only memoryview, also in a nested transaction."""
    fill(env, b"a", b"b")
    with env.begin(write=write, buffers=True) as txn:
        cursor = txn.cursor()
        assert cursor.key() == cursor.value() == b""
        assert cursor.first()
        seen = [txn.get(b"a"), cursor.key(), cursor.value(), *cursor.item(), cursor.get(b"b"), *next(iter(cursor))]
        assert [bytes(view) for view in seen] == [b"A", b"a", b"A", b"a", b"A", b"B", b"b", b"B"]
        for view in seen:
            assert type(view) is memoryview
            assert view.readonly
            assert view.format == "B"
            with pytest.raises(TypeError, match=r"^cannot modify read-only memory$"):
                view[0] = 0


def test_views_of_nested_transactions(env: lmdb.Environment) -> None:
    """Whether a nested transaction gives views is its own matter."""
    fill(env, b"a")
    with env.begin(write=True, buffers=True) as parent, env.begin(write=True, parent=parent) as child:
        assert type(child.get(b"a")) is bytes
