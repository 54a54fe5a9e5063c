"""One contestant in its own process: does a round of a work when told, and answers how long it took.

    python worker.py FOLDER NAME MANY FEW READERS IMPORT

FOLDER has the keys of all contestants, NAME is the folder in it for this one's databases, IMPORT the statement that
binds ``lmdb``; the numbers are those of ``works.py``. It says ``ready PID``; then each line ``WORK PASSES`` is answered
by a line with a number: nanoseconds of the passes, or bytes for the work ``memory``. ``limit.c`` is the same in C.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

KEY_SIZE = 16
VALUE = b"v" * 100
SMALL_MAP, LARGE_MAP = 1 << 26, 1 << 30  # bytes


class Worker:
    """The works are its methods; each takes the number of passes."""

    def __init__(self, lmdb: Any, folder: Path, name: str, many: int, few: int, readers: int) -> None:
        self.lmdb = lmdb
        self.shared = folder
        self.folder = folder / name
        self.few = few
        self.readers_count = readers
        self.keys = self.keys_of("small.keys")
        self.records = [(key, VALUE) for key in self.keys]
        self.many_keys = self.keys[:many]
        self.many_records = self.records[:many]
        self.ordered_keys = sorted(self.many_keys)
        self.ordered_records = sorted(self.many_records)
        for database in ("opened", "small", "written", "empty"):
            (self.folder / database).mkdir(parents=True)
            with self.opened(database) as env, env.begin(write=True) as txn:
                if database != "empty":
                    txn.cursor().putmulti(self.records)
        self.small = self.opened("small")
        self.written = self.opened("written")
        self.empty = self.opened("empty")

    def check(self) -> None:
        """Whoever does less than all of a work must not win it."""
        records, values = sorted(self.records), [value for _, value in self.many_records]
        with self.small.begin() as txn:
            right = [(key, txn.get(key)) for key in sorted(self.keys)] == records
            right &= list(txn.cursor()) == list(pairs(txn)) == listed(txn) == records
            right &= txn.cursor().getmulti(self.many_keys) == self.many_records
            right &= getter(txn)(self.many_keys) in (self.many_records, values)
            cursor = txn.cursor()
            right &= [cursor.item() for _ in iter(cursor.next, False)] == records
            right &= all(cursor.set_key(key) and cursor.item() == (key, VALUE) for key in self.keys)
            right &= list(txn.cursor().iternext(values=False)) == sorted(self.keys)
            right &= all(cursor.set_range(key) and cursor.key() == key for key in self.keys)
        txn = self.empty.begin(write=True)
        putter(txn)(self.many_records)
        right &= list(txn.cursor()) == sorted(self.many_records)
        txn.abort()
        for change, answer in (("replace", VALUE), ("pop", VALUE), ("delete", True)):
            txn = self.small.begin(write=True)
            arguments = (b"another",) if change == "replace" else ()
            right &= all(getattr(txn, change)(key, *arguments) == answer for key in self.keys)
            right &= {txn.get(key) for key in self.keys} == {arguments[0] if arguments else None}
            txn.abort()
        for key in self.many_keys:
            with self.written.begin(write=True) as txn:
                right &= txn.put(key, VALUE) and txn.get(key) == VALUE
        if not right:
            raise RuntimeError(f"{self.lmdb.__name__} gives wrong results")

    def keys_of(self, file: str) -> list[bytes]:
        data = (self.shared / file).read_bytes()
        return [data[at : at + KEY_SIZE] for at in range(0, len(data), KEY_SIZE)]

    def opened(self, name: str, map_size: int = SMALL_MAP) -> Any:
        return self.lmdb.open(str(self.folder / name), map_size=map_size, sync=False)

    def open(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            self.opened("opened").close()
        return perf_counter_ns() - start

    def get(self, passes: int) -> int:
        keys = self.keys
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                for key in keys:
                    txn.get(key)
        return perf_counter_ns() - start

    def put(self, passes: int) -> int:
        """Inserts into an empty database, in random order; aborted, so that each pass does the same."""
        records = self.records
        start = perf_counter_ns()
        for _ in range(passes):
            txn = self.empty.begin(write=True)
            for key, value in records:
                txn.put(key, value)
            txn.abort()
        return perf_counter_ns() - start

    def replace(self, passes: int) -> int:
        """Each record by one like it; aborted, as all that follows until it says otherwise."""
        records = self.records
        start = perf_counter_ns()
        for _ in range(passes):
            txn = self.small.begin(write=True)
            for key, value in records:
                txn.replace(key, value)
            txn.abort()
        return perf_counter_ns() - start

    def pop(self, passes: int) -> int:
        keys = self.keys
        start = perf_counter_ns()
        for _ in range(passes):
            txn = self.small.begin(write=True)
            for key in keys:
                txn.pop(key)
            txn.abort()
        return perf_counter_ns() - start

    def delete(self, passes: int) -> int:
        keys = self.keys
        start = perf_counter_ns()
        for _ in range(passes):
            txn = self.small.begin(write=True)
            for key in keys:
                txn.delete(key)
            txn.abort()
        return perf_counter_ns() - start

    def seek(self, passes: int) -> int:
        keys = self.keys
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                cursor = txn.cursor()
                for key in keys:
                    cursor.set_key(key)
        return perf_counter_ns() - start

    def step(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                cursor = txn.cursor()
                while cursor.next():
                    pass
        return perf_counter_ns() - start

    def step_item(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                cursor = txn.cursor()
                while cursor.next():
                    cursor.item()
        return perf_counter_ns() - start

    def range(self, passes: int) -> int:
        """A few records from a key on, by a cursor of its own for each key."""
        keys, few = self.many_keys, self.few
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                for key in keys:
                    with txn.cursor() as cursor:
                        found = cursor.set_range(key)
                        count = 0
                        while found and count < few:
                            cursor.item()
                            count += 1
                            found = cursor.next()
        return perf_counter_ns() - start

    def iterate(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                for _key, _value in txn.cursor():
                    pass
        return perf_counter_ns() - start

    def iterate_keys(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                for _key in txn.cursor().iternext(values=False):
                    pass
        return perf_counter_ns() - start

    def begin(self, passes: int) -> int:
        env, keys = self.small, self.many_keys
        start = perf_counter_ns()
        for _ in range(passes):
            for key in keys:
                txn = env.begin()
                txn.get(key)
                txn.abort()
        return perf_counter_ns() - start

    def begin_with(self, passes: int) -> int:
        env, keys = self.small, self.many_keys
        start = perf_counter_ns()
        for _ in range(passes):
            for key in keys:
                with env.begin() as txn:
                    txn.get(key)
        return perf_counter_ns() - start

    def write(self, passes: int) -> int:
        """A transaction for each record, which is there already; committed."""
        env, records = self.written, self.many_records
        start = perf_counter_ns()
        for _ in range(passes):
            for key, value in records:
                with env.begin(write=True) as txn:
                    txn.put(key, value)
        return perf_counter_ns() - start

    def scan(self, passes: int) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                listed(txn)
        return perf_counter_ns() - start

    def getmulti(self, passes: int) -> int:
        return self.get_many(passes, self.many_keys, lambda txn: txn.cursor().getmulti)

    def getmany(self, passes: int) -> int:
        return self.get_many(passes, self.many_keys, getter)

    def getmany_ordered(self, passes: int) -> int:
        return self.get_many(passes, self.ordered_keys, getter)

    def get_many(self, passes: int, keys: list[bytes], by: Callable[[Any], Any]) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            with self.small.begin() as txn:
                by(txn)(keys)
        return perf_counter_ns() - start

    def putmulti(self, passes: int) -> int:
        return self.put_many(passes, self.many_records, lambda txn: txn.cursor().putmulti)

    def putmany(self, passes: int) -> int:
        return self.put_many(passes, self.many_records, putter)

    def putmany_ordered(self, passes: int) -> int:
        return self.put_many(passes, self.ordered_records, putter)

    def put_many(self, passes: int, records: list[tuple[bytes, bytes]], by: Callable[[Any], Any]) -> int:
        start = perf_counter_ns()
        for _ in range(passes):
            txn = self.empty.begin(write=True)
            by(txn)(records)
            txn.abort()
        return perf_counter_ns() - start

    def readers(self, passes: int) -> int:
        keys = self.keys
        ready = threading.Barrier(self.readers_count + 1)

        def read() -> None:
            with self.small.begin() as txn:
                ready.wait()
                for _ in range(passes):
                    for key in keys:
                        txn.get(key)

        threads = [threading.Thread(target=read) for _ in range(self.readers_count)]
        for thread in threads:
            thread.start()
        start = perf_counter_ns()  # before the last comes to the barrier: the others may run before this thread does
        ready.wait()
        for thread in threads:
            thread.join()
        return perf_counter_ns() - start

    def load_random(self, passes: int) -> int:
        return sum(self.load(self.keys_of("large.keys"), append=False) for _ in range(passes))

    def load_sorted(self, passes: int) -> int:
        return sum(self.load(sorted(self.keys_of("large.keys")), append=True) for _ in range(passes))

    def load(self, keys: list[bytes], *, append: bool) -> int:
        """One transaction, one call; making the list and the environment is not counted."""
        records = [(key, VALUE) for key in keys]
        env = self.opened("load", LARGE_MAP)
        start = perf_counter_ns()
        with env.begin(write=True) as txn:
            putter(txn)(records, append=append)
        taken = perf_counter_ns() - start
        env.close()
        shutil.rmtree(self.folder / "load")
        return taken

    def memory(self, passes: int) -> int:
        """The most that a scan of a large database adds to the process's own memory, which the map's pages are not."""
        env = self.lmdb.open(str(self.shared / "memory"), map_size=LARGE_MAP, readonly=True, lock=False)
        peak = before = own_memory()
        for _ in range(passes):
            with env.begin() as txn:
                for number, _pair in enumerate(pairs(txn)):
                    if number % 512 == 0:
                        peak = max(peak, own_memory())
        env.close()
        return peak - before


def pairs(txn: Any) -> Any:
    """All records by the binding's best means: peers have the cursor alone."""
    return txn.scan() if hasattr(txn, "scan") else txn.cursor()


def listed(txn: Any) -> Any:
    """A list of all records, by the binding's best means."""
    return txn.scan().to_list() if hasattr(txn, "scan") else list(txn.cursor())


def getter(txn: Any) -> Any:
    """What gets many records, by the binding's best means: a list of values, or of pairs."""
    return txn.getmany if hasattr(txn, "getmany") else txn.cursor().getmulti


def putter(txn: Any) -> Any:
    """What puts many records, by the binding's best means."""
    return txn.putmany if hasattr(txn, "putmany") else txn.cursor().putmulti


def own_memory() -> int:
    """Bytes of this process's anonymous memory that are in RAM."""
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def main(folder: str, name: str, many: str, few: str, readers: str, statement: str) -> None:
    scope: dict[str, Any] = {}
    exec(statement, scope)  # noqa: S102 (the table of contestants has it)
    worker = Worker(scope["lmdb"], Path(folder), name, int(many), int(few), int(readers))
    worker.check()
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        work, passes = line.split()
        do: Callable[[int], int] = getattr(worker, work)
        print(do(int(passes)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
