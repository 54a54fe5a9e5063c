"""``python -m liblmdb_wheel selftest`` tells whether what is installed here works, on this machine and interpreter.

A line for each check and an exit status. It writes into a temporary folder, and compiles nothing: what compilers and
build systems read is followed to the files that it names.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distribution, entry_points
from pathlib import Path

import liblmdb_wheel
from liblmdb_wheel import linking
from liblmdb_wheel.data_format import engine_of
from liblmdb_wheel.tools import TOOLS, tool_path
from sharedlib_loader import LoadedLibrary, SharedLibraryError

Check = Callable[[], str]
"""Gives what it found, in some words, or raises."""


class SelftestError(Exception):
    """Something is not as it was shipped, or does not do what it should."""


def selftest() -> int:
    """Run all checks, print a line for each, and give the exit status: 0 where all is well."""
    passed = [_passes(name, check) for name, check in _checks()]
    failures = passed.count(False)
    print(f"{failures} of {len(passed)} checks failed" if failures else f"all {len(passed)} checks passed")
    return 1 if failures else 0


def _passes(name: str, check: Check) -> bool:
    try:
        print(f"ok      {name}: {check()}")
    except Exception as error:  # noqa: BLE001 (whatever goes wrong is the finding)
        print(f"FAILED  {name}: {error if isinstance(error, (SelftestError, SharedLibraryError)) else repr(error)}")
        return False
    return True


def _checks() -> Iterator[tuple[str, Check]]:
    for engine in liblmdb_wheel.engines():
        yield f"LMDB {engine} loads", partial(_loads, engine)
        yield f"LMDB {engine} writes and reads", partial(_writes_and_reads, engine)
        yield f"LMDB {engine} has its header", partial(_has_its_header, engine)
        yield f"LMDB {engine} has its tools", partial(_tools_run, engine)
        yield f"LMDB {engine} is found by pkg-config", partial(_pkgconfig, engine)
        yield f"LMDB {engine} is found by -llmdb", partial(_linker_script, engine)
    yield "the bulk extension loads", lambda: f"interface {liblmdb_wheel.load_bulk().version}"
    yield "the fast extension loads", _fast_loads
    yield "the pages extension loads", lambda: f"interface {liblmdb_wheel.load_pages().version}"
    yield "CMake finds the libraries", _cmake
    yield "build systems find the folders", _entry_points
    yield "the tools on PATH", _on_path


# -- the libraries ---------------------------------------------------------------------------------------------------


def _loads(engine: str) -> str:
    record = liblmdb_wheel.load(engine)  # raises where the SONAME resolves to another file
    return f"{record.soname} is {record.path}, version {record.version}, from: {record.origin}"


_MDB_RDONLY = 0x20000


def _fast_loads() -> str:
    if sys.platform != "linux":
        return "not here, it is for Linux"
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "not here, it is for CPython with its lock"
    return f"interface {liblmdb_wheel.load_fast().version}"


def _loaded(engine: str) -> LoadedLibrary:
    """The loaded engine, for the checks that need one; why it does not load is the first check's to say."""
    try:
        return liblmdb_wheel.load(engine)
    except SharedLibraryError as error:
        raise SelftestError("it does not load") from error


class _Value(ctypes.Structure):
    """``MDB_val``. Its data is no ``c_char_p``: nothing ends it but its size."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


def _writes_and_reads(engine: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        value = _round_trip(engine, folder)
        found = engine_of(folder)
        _expect(found, engine, "the engine that its file says")
    return f"put, committed and got {value!r}"


def _round_trip(engine: str, folder: str) -> bytes:
    """Store a record in a new environment, and read it in another transaction."""
    library = ctypes.CDLL(os.fspath(_loaded(engine).path))  # the same handle
    library.mdb_strerror.restype = ctypes.c_char_p
    env, txn, dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    text = ctypes.create_string_buffer(b"key, value")
    key, value = _Value(3, ctypes.addressof(text)), _Value(5, ctypes.addressof(text) + 5)

    def call(function: str, *arguments: object) -> None:
        if status := getattr(library, function)(*arguments):
            raise SelftestError(f"{function}: {library.mdb_strerror(status).decode()}")

    call("mdb_env_create", ctypes.byref(env))
    try:
        call("mdb_env_open", env, os.fsencode(folder), 0, 0o600)
        call("mdb_txn_begin", env, None, 0, ctypes.byref(txn))
        call("mdb_dbi_open", txn, None, 0, ctypes.byref(dbi))
        call("mdb_put", txn, dbi, ctypes.byref(key), ctypes.byref(value), 0)
        call("mdb_txn_commit", txn)
        call("mdb_txn_begin", env, None, _MDB_RDONLY, ctypes.byref(txn))
        call("mdb_get", txn, dbi, ctypes.byref(key), ctypes.byref(value))
        data = ctypes.string_at(value.data, value.size)
        library.mdb_txn_abort(txn)
    finally:
        library.mdb_env_close(env)
    _expect(data, b"value", "the value")
    return data


def _has_its_header(engine: str) -> str:
    header = liblmdb_wheel.include_dir(engine) / "lmdb.h"
    numbers = re.findall(r"^#define MDB_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)$", header.read_text(), re.MULTILINE)
    _expect(".".join(numbers), _loaded(engine).version, f"the version in {header}")
    return f"{header}, of the library's version"


def _tools_run(engine: str) -> str:
    version = liblmdb_wheel.engines()[engine].version
    for tool in TOOLS:
        _expect(_output(tool, engine, "-V").split(":")[0], f"LMDB {version}", f"what {tool} -V says")
    with tempfile.TemporaryDirectory() as folder:
        _round_trip(engine, folder)
        dump = _output("mdb_dump", engine, "-p", folder)
    _expect(dump.partition("HEADER=END\n")[2], " key\n value\nDATA=END\n", "what mdb_dump prints")
    return f"{', '.join(TOOLS)} in {Path(tool_path('mdb_stat', engine)).parent}"


def _output(tool: str, engine: str, *arguments: str) -> str:
    done = subprocess.run([tool_path(tool, engine), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SelftestError(f"{tool} ends with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


# -- what compilers and build systems read ---------------------------------------------------------------------------


# What -llmdb finds, and how it names the library: the linkers of each system read something else.
_LINKS = {"darwin": ("liblmdb.tbd", r"^install-name: '@rpath/(.*)'$"), "win32": ("lmdb.lib", None)}
_LINKER_SCRIPT = ("liblmdb.so", r"^INPUT\((.*)\)$")


def _pkgconfig(engine: str) -> str:
    link, _ = _LINKS.get(sys.platform, _LINKER_SCRIPT)
    folders = {linking.pkgconfig_dir(engine), linking.prefix(engine) / "lib" / "pkgconfig"}
    files = [folder / "lmdb.pc" for folder in folders]
    files.append(linking.pkgconfig_dir(liblmdb_wheel.DEFAULT_ENGINE) / f"lmdb-{engine}.pc")
    for file in sorted(files):
        fields = _pc_fields(file)
        _expect(fields["Version"], liblmdb_wheel.engines()[engine].version, f"the version in {file}")
        include, library = fields["Cflags"].removeprefix("-I"), fields["Libs"].removeprefix("-L").split(" -l")[0]
        _expect_same(Path(include), liblmdb_wheel.include_dir(engine), file)
        _expect_same(Path(library, link), linking.prefix(engine) / "lib" / link, file)
    return ", ".join(sorted({file.name for file in files}))


def _pc_fields(file: Path) -> dict[str, str]:
    """The fields of a pkg-config file, with its variables filled in."""
    variables = {"pcfiledir": os.fspath(file.parent)}
    fields = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        filled = re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], line)
        if match := re.match(r"(\w+)=(.*)", filled):
            variables[match[1]] = match[2]
        elif match := re.match(r"(\w+): (.*)", filled):
            fields[match[1]] = match[2]
    return fields


def _linker_script(engine: str) -> str:
    name, pattern = _LINKS.get(sys.platform, _LINKER_SCRIPT)
    link, library = linking.prefix(engine) / "lib" / name, liblmdb_wheel.library_path(engine)
    if pattern is None:
        _expect(link.read_bytes(), library.with_suffix(".lib").read_bytes(), f"the import library {link}")
    else:
        named = re.findall(pattern, link.read_text(encoding="utf-8"), re.MULTILINE)
        _expect(len(named), 1, f"the number of files in {link}")
        # By its path from the script, or by the name that the library has everywhere.
        _expect_same((link if "/" in named[0] else library).parent / named[0], library, link)
    return f"{link} leads to {liblmdb_wheel.engines()[engine].soname}"


def _cmake() -> str:
    config = linking.cmake_dir() / "liblmdb-config.cmake"
    calls = re.findall(
        r'^_liblmdb_add_library\((\S+) (\S+) (\S+) (\S+) "(.*)"\)$', config.read_text(encoding="utf-8"), re.MULTILINE
    )
    _expect(sorted(recorded for _, recorded, *_ in calls), sorted(linking.sonames()), f"the libraries in {config}")
    for _, _, file, linked, include in calls:
        for name in (file, linked):
            _expect_there(liblmdb_wheel.library_dir() / name)
        _expect_there(liblmdb_wheel.library_dir().parent / include)
    versions = config.with_name("liblmdb-config-version.cmake").read_text(encoding="utf-8")
    shipped = " ".join(library.version for library in liblmdb_wheel.engines().values())
    _expect(f"IN ITEMS {shipped})" in versions, True, f"that {shipped} are in the version file")
    return ", ".join(f"liblmdb::{name}" for name, *_ in calls)


def _entry_points() -> str:
    package = liblmdb_wheel.library_dir().parent
    folders = {"pkg_config": linking.pkgconfig_dir(liblmdb_wheel.DEFAULT_ENGINE), "cmake.prefix": package}
    for group, folder in folders.items():
        values = {entry.value for entry in entry_points(group=group, name="liblmdb-wheel")}
        _expect(values, {".".join(folder.relative_to(package.parent).parts)}, f"the entry point of {group}")
        _expect_there(folder)
    return ", ".join(folders)


# -- the tools on PATH -----------------------------------------------------------------------------------------------


def _on_path() -> str:
    """Which tools a shell would run: no check that can fail, since PATH is the user's."""
    own = {Path(file.locate()).resolve() for file in distribution("liblmdb-wheel").files or () if file.name in TOOLS}
    lines = []
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is None:
            lines.append(f"{tool} is not on PATH")
        elif Path(found).resolve() not in own:
            lines.append(f"{tool} is another's, {found}")
    return "; ".join(lines) or "all are this package's"


# -- expectations ----------------------------------------------------------------------------------------------------


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise SelftestError(f"{what} is {found!r}, and should be {wanted!r}")


def _expect_there(path: Path) -> None:
    if not path.exists():
        raise SelftestError(f"{path} is missing: pip install --force-reinstall liblmdb-wheel")


def _expect_same(path: Path, wanted: Path, named_by: Path) -> None:
    _expect_there(wanted)
    if not path.exists() or not path.samefile(wanted):
        raise SelftestError(f"{named_by} leads to {path}, and should to {wanted}")
