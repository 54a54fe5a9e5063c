"""Where a provider may be: in folders of any name, on another part of ``sys.path``, in a zip archive, editable."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import sharedlib_loader
from sharedlib_loader import LibraryLoadError, LibraryNotFoundError, SharedLibrary, _runtime, load
from tests.loader.conftest import archive, install, provider_files

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R17")

FIND_AND_LOAD = """
record = load(sharedlib_loader.find("sample-3"))
print(record.path, record.version, record.origin, record.conflict)
print(ctypes.CDLL(sys.argv[2]).twice())
"""


@pytest.mark.parametrize("name", ["with spaces", "größe-λ-データ", "quote'\"$HOME", "semi;colon:comma,"])
def test_any_folder_name(run: Run, library: Path, dependent: Path, tmp_path: Path, name: str) -> None:
    """Spaces, letters beyond ASCII and what shells treat specially are no matter."""
    site = install(provider_files(library), tmp_path / name)
    found = run(f"sys.path.append({str(site)!r})" + FIND_AND_LOAD, library, dependent)
    assert found == f"{site}/sample_provider/libsample.so.3 3 wheel None\n6"


def test_a_folder_name_that_is_not_text(run: Run, library: Path, tmp_path: Path) -> None:
    """A path with bytes that are no UTF-8 is loaded, and recorded as Python's own functions name it."""
    folder = os.fsencode(tmp_path) + b"/latin-\xe9"
    os.mkdir(folder)
    (Path(os.fsdecode(folder)) / "libsample.so.3").write_bytes(library.read_bytes())
    script = "path = os.fsdecode(os.fsencode(sys.argv[2]) + b'/latin-\\xe9/libsample.so.3')\n"
    script += "record = load(describe(path)); print(record.path == Path(path), record.conflict)"
    assert run(script, library, tmp_path) == "True None"


def test_split_site_packages(run: Run, library: Path, dependent: Path, tmp_path: Path) -> None:
    """Provider and consumer may be in two folders of sys.path, whichever comes first."""
    one, other = install(provider_files(library), tmp_path / "base"), tmp_path / "venv"
    consumer = f"import ctypes, sharedlib_loader\nsharedlib_loader.load(sharedlib_loader.find('sample-3'))\ntwice = ctypes.CDLL({str(dependent)!r}).twice"
    install({"consumer.py": consumer.encode()}, other)
    script = "sys.path[:0] = sys.argv[2:]; import consumer; print(consumer.twice())"
    assert run(script, library, one, other) == "6"
    assert run(script, library, other, one) == "6"


def test_a_provider_in_a_zip_archive(run: Run, library: Path, dependent: Path, tmp_path: Path) -> None:
    """The library is copied out once, kept for the life of the process, and removed at its end."""
    file = archive(provider_files(library), tmp_path / "provider with ü.zip")
    script = f"""
sys.path.append({str(file)!r})
provided = sharedlib_loader.find("sample-3")
first = load(provided)
again = load(describe(provided.path, version_of=None))
print(provided.path, provided.path.exists(), first.conflict, again.origin, again.path == first.path)
print(ctypes.CDLL(sys.argv[2]).twice())
if os.fork() == 0:
    sys.exit()  # runs what was registered to run at exit, in a process that does not own the copy
os.wait()
print(first.path.name, oct(first.path.parent.stat().st_mode & 0o777), os.listdir(first.path.parent))
print(first.path.parent)
"""
    *lines, copy = run(script, library, dependent, TMPDIR=str(tmp_path)).splitlines()
    assert lines == [
        f"{file}/sample_provider/libsample.so.3 False None already loaded True",
        "6",
        "libsample.so.3 0o700 ['libsample.so.3']",
    ]
    assert Path(copy).parent == tmp_path
    assert not Path(copy).exists()


def test_a_copy_is_removed_by_its_owner(tmp_path: Path) -> None:
    """A child of fork() ends before the parent does, and leaves the parent's copy alone."""
    folder = tmp_path / "copy"
    folder.mkdir()
    _runtime._remove(str(folder), os.getpid() + 1)
    assert folder.exists()
    _runtime._remove(str(folder), os.getpid())
    assert not folder.exists()


def test_the_loader_in_a_zip_archive(python: Run, library: Path, tmp_path: Path) -> None:
    """Loader and provider work from one archive on PYTHONPATH, in another folder."""
    source = Path(sharedlib_loader.__file__).parent
    loader = {f"sharedlib_loader/{path.name}": path.read_bytes() for path in source.glob("*.py")}
    file = archive({**provider_files(library), **loader}, tmp_path / "all.zip")
    script = """
import sharedlib_loader
record = sharedlib_loader.load(sharedlib_loader.find("sample-3"))
print(".zip" in sharedlib_loader.__file__, record.version, record.conflict)
"""
    assert python(script, PYTHONPATH=str(file)) == "True 3 None"


def test_a_shim_is_copied_too(run: Run, library: Path, tmp_path: Path) -> None:
    """A provider for musl has a second file, which must lie beside the first."""
    files = {**provider_files(library), "sample_provider/libsample.so.3.shim": b"shim"}
    file = archive(files, tmp_path / "provider.zip")
    script = f"""
sys.path.append({str(file)!r})
record = load(sharedlib_loader.find("sample-3"))
print(sorted(os.listdir(record.path.parent)))
"""
    assert run(script, library) == "['libsample.so.3', 'libsample.so.3.shim']"


def described(path: Path) -> SharedLibrary:
    return SharedLibrary(name="zipped", soname="libsample.so.3", path=path, version="3", distribution="zipped-wheel")


def test_an_archive_without_the_file(tmp_path: Path) -> None:
    """A library that its archive lacks is missing, and said to be so."""
    file = archive({"other": b""}, tmp_path / "empty.zip")
    with pytest.raises(LibraryLoadError, match=r"tried: \S+empty.zip/pkg/lib.so: Not a directory"):
        load(described(file / "pkg" / "lib.so"))


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    """A path through a plain file is an error, and nobody is taken in by its name."""
    file = tmp_path / "not.zip"
    file.write_bytes(b"text")
    with pytest.raises(LibraryLoadError, match=r"tried: \S+not.zip/pkg/lib.so: Not a directory"):
        load(described(file / "pkg" / "lib.so"))


def test_a_drive_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the root exists, as Windows' drives need not, the search for an archive ends."""
    monkeypatch.setattr("os.path.exists", lambda path: False)
    assert _runtime._archive_of("/absent/drive/lib.so") is None


def test_a_folder_that_is_not_there() -> None:
    """A path through folders that do not exist ends at the root, not in a loop."""
    with pytest.raises(LibraryNotFoundError, match=r"tried: /nowhere/at/all/lib.so: No such file"):
        load(described(Path("/nowhere/at/all/lib.so")))


SETUP = """
from pathlib import Path
from setuptools import setup
from sharedlib_loader.build import SharedObject, native_wheel
HERE = Path(__file__).resolve().parent
def build(toolchain, package, work):
    SharedObject("libsample.so.3", (HERE / "sample.c",), ("sample_version",)).build(toolchain, package, work)
setup(name="sample-wheel", version="3", package_dir={"": "src"}, packages=["sample_provider"],
      entry_points={"sharedlib_loader.providers": ["sample-3 = sample_provider:SAMPLE"]},
      **native_wheel("sample_provider", build_package=build))
"""


def test_an_editable_provider(python: Run, tmp_path: Path, dependent: Path) -> None:
    """An editable install of a provider is found and loaded from its source folder."""
    files = provider_files(dependent)
    project = install(
        {
            "setup.py": SETUP.encode(),
            "sample.c": b"int sample_version(void) { return 3; }",
            "src/sample_provider/__init__.py": files["sample_provider/__init__.py"],
        },
        tmp_path / "project",
    )
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
               "--target", site, "--editable", project]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    script = f"""
import site, sys
sys.path.append({sysconfig.get_path("purelib")!r})
site.addsitedir(sys.argv[1])
import ctypes, sharedlib_loader
record = sharedlib_loader.load(sharedlib_loader.find("sample-3"))
print(record.path, record.origin, record.conflict, ctypes.CDLL(sys.argv[2]).twice())
"""
    found = python(script, site, dependent)
    assert found == f"{project}/src/sample_provider/libsample.so.3 wheel None 6"
