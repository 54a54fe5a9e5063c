"""Loading: once, locally, for good, and with a record of it."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import sharedlib_loader
from sharedlib_loader import Conflict, LoadedLibrary, SharedLibrary, find, load

Run = Callable[..., str]


@pytest.mark.requirement("R7")
def test_the_record_says_what_was_loaded(run: Run, library: Path) -> None:
    """load() returns name, path, SONAME, version, handle and origin, and no conflict."""
    script = """
record = load(library)
same = ctypes.CDLL(None, handle=record.handle).sample_version()
print(json.dumps([record.name, str(record.path), record.soname, record.version, record.origin, record.conflict, same]))
"""
    assert json.loads(run(script, library)) == ["sample-3", str(library), "libsample.so.3", "3", "wheel", None, 3]


@pytest.mark.requirement("R7")
def test_the_record_is_frozen(run: Run, library: Path) -> None:
    """Nobody can change what load() found."""
    script = """
try:
    load(library).path = "other"
except AttributeError as error:
    print(error)
"""
    assert run(script, library) == "cannot assign to field 'path'"


def described(**changes: Any) -> SharedLibrary:
    fields = dict(
        name="sample-3", soname="libsample.so.3", path=Path("/lib/sample"), version="3", distribution="sample"
    )
    return SharedLibrary(**{**fields, **changes})


def test_records_are_compared_by_their_fields() -> None:
    """Equal fields make equal records of one hash; another field, or another kind of record, makes another."""
    assert described() == described(path="/lib/sample")
    assert hash(described()) == hash(described())
    assert described() != described(version="4")
    assert Conflict(None, "3") == Conflict(path=None, version="3")
    assert Conflict(None, "3") != ("sample-3", "3")


def test_records_show_their_fields() -> None:
    """A record's repr is the call that makes it, and its path is a Path."""
    assert repr(Conflict("/lib/sample", None)) == f"Conflict(path={Path('/lib/sample')!r}, version=None, symbol=None)"
    assert described(path="/lib/sample").path == Path("/lib/sample")
    assert eval(repr(described()), {"SharedLibrary": SharedLibrary, type(Path()).__name__: Path}) == described()


def test_records_can_be_pickled_and_copied() -> None:
    """What was pickled or copied is equal, and frozen too."""
    for again in (pickle.loads(pickle.dumps(described())), copy.copy(described())):
        assert again == described()
        with pytest.raises(AttributeError, match=r"^cannot assign to field 'version'$"):
            again.version = "4"
        with pytest.raises(AttributeError, match=r"^cannot delete field 'version'$"):
            del again.version


@pytest.mark.parametrize("documented", [load, find, SharedLibrary, LoadedLibrary, Conflict])
def test_type_hints_can_be_asked_for(documented: object) -> None:
    """typing.get_type_hints works on the functions and records, though typing is not imported for them."""
    assert get_type_hints(documented)


@pytest.mark.requirement("R6")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="other interpreters' ctypes is written in Python")
def test_the_import_is_light(python: Run) -> None:
    """Importing the loader, a provider, and loading a library needs no slow module of the standard library."""
    script = """
import sys
before = set(sys.modules)
import liblmdb_wheel
liblmdb_wheel.load("0.9")
heavy = {"collections", "contextlib", "dataclasses", "functools", "importlib.metadata", "inspect", "pathlib", "re",
         "threading", "typing", "warnings", "weakref"}
print(sorted((set(sys.modules) - before) & heavy))
"""
    assert python(script) == "[]"


@pytest.mark.requirement("R7")
def test_loading_again_gives_the_same_record(run: Run, library: Path) -> None:
    """load() is idempotent, also for an equal description."""
    script = """
import copy
first = load(library)
print(load(library) is first, load(copy.copy(library)) is first)
count = sum("libsample" in line for line in open("/proc/self/maps"))
load(library, on_conflict="accept")
print(sum("libsample" in line for line in open("/proc/self/maps")) == count)
"""
    assert run(script, library) == "True True\nTrue"


@pytest.mark.requirement("R7")
def test_the_library_is_private(run: Run, library: Path) -> None:
    """The global scope of the process does not get the library's names (RTLD_LOCAL)."""
    assert run("load(library); print(hasattr(ctypes.CDLL(None), 'sample_version'))", library) == "False"


@pytest.mark.requirement("R8")
def test_a_later_dependent_binds_to_it(run: Run, library: Path, dependent: Path) -> None:
    """A library with DT_NEEDED for the SONAME, without RPATH, loads after load() and not before."""
    script = """
try:
    ctypes.CDLL(sys.argv[2])
except OSError as error:
    print(error)
load(library)
print(ctypes.CDLL(sys.argv[2]).twice())
"""
    before, after = run(script, library, dependent).splitlines()
    assert before == "libsample.so.3: cannot open shared object file: No such file or directory"
    assert after == "6"


@pytest.mark.requirement("R6")
def test_importing_loads_nothing(python: Run) -> None:
    """Importing loader and provider opens no library, starts no process and changes no environment variable."""
    script = """
import ctypes, os, sys
from importlib.metadata import entry_points
events, before = [], dict(os.environ)
sys.addaudithook(lambda event, args: events.append((event, args)))
import sharedlib_loader, liblmdb_wheel
print([e for e in events if e[0] in ("ctypes.dlopen", "subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec")])
print(os.environ == before, any("liblmdb.so" in line for line in open("/proc/self/maps")))
liblmdb_wheel.load("0.9")
print(any(event == "ctypes.dlopen" for event, _ in events))
"""
    assert python(script) == "[]\nTrue False\nTrue"


def test_a_library_that_was_there_is_said_to_be(run: Run, library: Path) -> None:
    """The origin is "already loaded" where the very file was in the process before."""
    script = "ctypes.CDLL(sys.argv[1]); record = load(library); print(record.origin, record.conflict)"
    assert run(script, library) == "already loaded None"


@pytest.mark.requirement("R15")
def test_sixty_four_threads_load_once(run: Run, library: Path) -> None:
    """Threads that call load() at the same moment get one record, from one dlopen of the file."""
    script = """
import threading, time
def version(library):
    time.sleep(0.02)  # widens the gap that a missing lock would leave
    return "3"
library = describe(sys.argv[1], version_of=version)
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "ctypes.dlopen" else None)
barrier, records = threading.Barrier(64), []
def work():
    barrier.wait()
    records.append(load(library))
threads = [threading.Thread(target=work) for _ in range(64)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(records), len(set(map(id, records))), opened.count(sys.argv[1]))
"""
    # Twice: the question whether it is there already (RTLD_NOLOAD), and the load.
    assert run(script, library) == "64 1 2"


@pytest.mark.requirement("R16")
def test_a_child_of_fork_can_load(run: Run, library: Path, sample: Callable[..., Path]) -> None:
    """A child keeps what the parent loaded, and can load more although another thread held the lock at fork()."""
    other = sample(soname="libsample.so.4")
    script = """
import threading
from sharedlib_loader import _runtime
record, held = load(library), threading.Event()
def hold():
    with _runtime._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    more = load(describe(sys.argv[2], name="sample-4", soname="libsample.so.4"))
    os._exit(0 if load(library) is record and more.conflict is None else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
    options = {
        "PYTHONWARNINGS": "ignore::DeprecationWarning"
    }  # Python 3.12 warns of fork() with threads: the point here
    assert run(script, library, other, **options) == "0"


SPAWNED = """
import ctypes, multiprocessing, os, sys
import sharedlib_loader

def described():
    return sharedlib_loader.SharedLibrary(name="sample-3", soname="libsample.so.3", path=sys.argv[1], version="3",
                                          distribution="sample-wheel")

def work(given):
    there = sharedlib_loader._runtime._platform.find("libsample.so.3") is not None
    record = sharedlib_loader.load(given)
    return there, record.origin, record.conflict, ctypes.CDLL(sys.argv[2]).twice()

if __name__ == "__main__":
    sharedlib_loader.load(described())
    pool = multiprocessing.get_context("spawn").Pool(1)
    print(*pool.apply(work, [described()]))
    pool.close()  # and not terminate(), which would end the worker while it writes what it has covered
    pool.join()
"""


@pytest.mark.requirement("R16")
def test_a_spawned_process_loads_anew(library: Path, dependent: Path, tmp_path: Path) -> None:
    """A spawned process has nothing of its parent's; a description pickled to it loads there."""
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    command = [sys.executable, script, library, dependent]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "False wheel None 6\n", done.stderr


@pytest.mark.requirement("R7")
def test_the_handle_is_kept(run: Run, library: Path) -> None:
    """The object that loaded it lives on: PyPy closes a library with it."""
    script = """
import gc
handle = load(library).handle
gc.collect()
print(any(type(one) is ctypes.CDLL and one._handle == handle for one in gc.get_objects()))
"""
    assert run(script, library) == "True"


@pytest.mark.requirement("R20")
def test_cffi_uses_the_same_handle(run: Run, library: Path, dependent: Path) -> None:
    """A binding by CFFI calls through the record's handle, and leaves the library loaded when it is collected."""
    script = """
import cffi, gc
record = load(library)
ffi = cffi.FFI()
ffi.cdef("int sample_version(void);")
lib = ffi.dlopen(ffi.cast("void *", record.handle))
version = lib.sample_version()
del lib, ffi
gc.collect()
print(version, ctypes.CDLL(sys.argv[2]).twice(), len(mapped("libsample")))
"""
    assert run(script, library, dependent) == "3 6 1"


@pytest.mark.requirement("R14")
def test_load_never_returns_none(tmp_path: Path) -> None:
    """A consumer is type-checked in strict mode without a question whether there is a record."""
    consumer = tmp_path / "consumer.py"
    consumer.write_text("""
import sharedlib_loader
record = sharedlib_loader.load(sharedlib_loader.find("lmdb-0.9"), on_conflict="accept", min_version="0.9")
name: str = record.path.name
handle: int = record.handle
winner = record.conflict.path if record.conflict else record.path
sharedlib_loader.load("lmdb-0.9")
""")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", consumer]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    # The last line alone is wrong: the check does read the hints.
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert "consumer.py:7" in errors[0]
    assert 'incompatible type "str"; expected "SharedLibrary"' in errors[0]


def test_a_library_for_another_interpreter(run: Run, library: Path) -> None:
    """A library that calls functions of one interpreter is refused in another, in words, and loaded in its own."""
    script = """
try:
    load(describe(sys.argv[1], implementation="another"))
except sharedlib_loader.LibraryLoadError as error:
    print(error.problem, mapped("libsample"))
print(load(describe(sys.argv[1], implementation=sys.implementation.name)).version)
"""
    refused, loaded = run(script, library).splitlines()
    assert refused == f"the library is for another, and this interpreter is {sys.implementation.name} []"
    assert loaded == "3"


def test_a_library_for_another_system(run: Run, library: Path) -> None:
    """A library that its provider builds for some systems alone is refused on another, in words, and loaded on its own."""
    script = """
try:
    load(describe(sys.argv[1], systems=("plan9", "beos")))
except sharedlib_loader.LibraryLoadError as error:
    print(error.problem, mapped("libsample"))
print(load(describe(sys.argv[1], systems=("plan9", sys.platform))).version)
"""
    refused, loaded = run(script, library).splitlines()
    assert refused == f"the library is for plan9 and beos, and this system is {sys.platform} []"
    assert loaded == "3"


def test_an_unknown_policy_is_refused() -> None:
    """on_conflict takes three words; nothing is loaded for any other."""
    library = SharedLibrary(name="x", soname="x.so", path=Path("/x.so"), version="1", distribution="x")
    with pytest.raises(ValueError, match="on_conflict must be 'raise', 'warn' or 'accept', not 'ignore'"):
        sharedlib_loader.load(library, on_conflict="ignore")  # type: ignore[arg-type]


def test_the_version_is_what_the_library_says(run: Run, library: Path) -> None:
    """The record's version comes from the loaded library; without a way to ask, from the description."""
    script = """
print(load(describe(sys.argv[1], version="99")).version)
print(load(describe(sys.argv[1], version="99", version_of=None)).version)
"""
    assert run(script, library) == "3\n99"


def test_a_relative_path_is_refused() -> None:
    """A description must say where the library is: a relative path would be searched for."""
    with pytest.raises(ValueError, match=r"^x: the path of a library must be absolute, and is 'lib/x\.so'$"):
        SharedLibrary(name="x", soname="x.so", path=Path("lib/x.so"), version="1", distribution="x")


def test_a_version_function_may_load_what_it_needs(run: Run, library: Path, sample: Callable[..., Path]) -> None:
    """version_of() runs within load(), and may call it for another library."""
    other = sample(soname="libsample.so.4")
    script = """
second = describe(sys.argv[2], name="sample-4", soname="libsample.so.4")
print(load(describe(sys.argv[1], version_of=lambda lib: load(second).soname)).version)
"""
    assert run(script, library, other) == "libsample.so.4"


def test_a_foreign_file_has_no_shipped_version(run: Run, library: Path, decoy: Path) -> None:
    """The shipped version is said of the provider's file alone."""
    script = "print(load(describe(sys.argv[1], version_of=None)).version)"
    assert run(script, library) == "3"
    assert run(script, library, SHAREDLIB_SAMPLE_3=str(decoy)) == "unknown"
