"""Which engine an environment gets."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import lmdb_bindings as lmdb

VERSIONS = [(0, 9, 36), (1, 0, 2)]
MAGIC = struct.pack("=I", 0xBEEFC0DE)

layouts = pytest.mark.parametrize("subdir", [True, False], ids=["folder", "file"])


@pytest.fixture
def made(tmp_path: Path, engine: int) -> Callable[[bool], Path]:
    """Make an environment with one record by the engine, and close it: ``made(subdir)`` is its path."""

    def made(subdir: bool) -> Path:
        path = tmp_path / "made"
        with lmdb.open(path, subdir=subdir, lib_version=engine) as env, env.begin(write=True) as txn:
            txn.put(b"key", b"value")
        return path

    return made


def stamp(path: Path, version: int) -> None:
    """Give a data file another data format."""
    content = bytearray(path.read_bytes())
    at = content.index(MAGIC) + 4
    content[at : at + 4] = struct.pack("=I", version)
    path.write_bytes(content)


@layouts
def test_by_the_file(made: Callable[[bool], Path], engine: int, subdir: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is opened by the engine that reads its data format, whatever the default is."""
    path = made(subdir)
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", str(1 - engine))
    with lmdb.open(path, subdir=subdir) as env, env.begin() as txn:
        assert env.lib_version() == VERSIONS[engine]
        assert txn.get(b"key") == b"value"


@layouts
def test_foreign_file(made: Callable[[bool], Path], engine: int, subdir: bool) -> None:
    """The engine asked for is used even where it cannot read the file, and the file stays as it is."""
    path = made(subdir)
    data_file = path / "data.mdb" if subdir else path
    before = data_file.read_bytes()
    expected = f"^{re.escape(str(path))}: (MDB_VERSION_MISMATCH: .*|MDB_INVALID: File is not an LMDB file)$"
    with pytest.raises(lmdb.InvalidError, match=expected):
        lmdb.open(path, subdir=subdir, lib_version=1 - engine)
    assert data_file.read_bytes() == before
    with lmdb.open(path, subdir=subdir, lib_version=engine) as env:
        assert env.stat()["entries"] == 1


@layouts
def test_data_format_2(made: Callable[[bool], Path], subdir: bool) -> None:
    """A file of data format 2 is refused with the reason, since no engine reads it."""
    path = made(subdir)
    data_file = path / "data.mdb" if subdir else path
    stamp(data_file, 2)
    with pytest.raises(lmdb.Error) as caught:
        lmdb.open(path, subdir=subdir)
    assert type(caught.value) is lmdb.Error
    assert str(caught.value) == (
        f"{data_file}: written with LMDB data format v2 (a pre-1.0 development version, e.g. lmdb-js); "
        "no released LMDB reads this format."
    )


def test_data_format_of_the_future(made: Callable[[bool], Path]) -> None:
    """A file of an unknown data format is refused with its number."""
    path = made(False)
    stamp(path, 7)
    with pytest.raises(lmdb.Error) as caught:
        lmdb.open(path, subdir=False)
    assert type(caught.value) is lmdb.Error
    assert str(caught.value) == f"{path}: LMDB data format v7 is not supported by this build."


def test_refused_format_is_not_left_open(made: Callable[[bool], Path], engine: int) -> None:
    """An environment that was refused can be opened when its file is right again."""
    path = made(False)
    good = path.read_bytes()
    stamp(path, 7)
    with pytest.raises(lmdb.Error, match="v7"):
        lmdb.open(path, subdir=False)
    path.write_bytes(good)
    with lmdb.open(path, subdir=False) as env:
        assert env.lib_version() == VERSIONS[engine]


@pytest.mark.parametrize("default", [0, 1])
@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_new_file(tmp_path: Path, default: int, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing and an empty file are new ones, which the default engine makes."""
    path = tmp_path / "new"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", str(default))
    with lmdb.open(path, subdir=False) as env:
        assert env.lib_version() == VERSIONS[default]
        with env.begin(write=True) as txn:
            assert txn.put(b"key", b"value")


@pytest.mark.parametrize("default", [0, 1])
@pytest.mark.parametrize(
    "content",
    [b"garbage" * 1000, bytes(100_000), bytes(60) + MAGIC + bytes(10_000)],
    ids=["text", "zeros", "magic too late"],
)
def test_garbage(tmp_path: Path, default: int, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no LMDB file goes to the default engine, which says so; the file stays as it is."""
    path = tmp_path / "garbage"
    path.write_bytes(content)
    monkeypatch.setenv("LMDB_DEFAULT_LIB_VERSION", str(default))
    with pytest.raises(lmdb.InvalidError, match=f"^{re.escape(str(path))}: MDB_INVALID: File is not an LMDB file$"):
        lmdb.open(path, subdir=False)
    assert path.read_bytes() == content


def test_missing_read_only(tmp_path: Path, engine: int) -> None:
    """A missing file cannot be opened to be read."""
    with pytest.raises(lmdb.Error, match=f"^{tmp_path / 'none'}: No such file or directory$") as caught:
        lmdb.open(tmp_path / "none", subdir=False, readonly=True, lib_version=engine)
    assert caught.value.code == errno.ENOENT
    assert list(tmp_path.iterdir()) == []


def test_no_such_engine(tmp_path: Path) -> None:
    """There are two engines, and any other number is an error."""
    message = r"^lib_version=2: this build has no LMDB 2\.x engine\.$"
    with pytest.raises(lmdb.Error, match=message):
        lmdb.open(tmp_path / "env", lib_version=2)
    with pytest.raises(lmdb.Error, match=message):
        lmdb.version(lib_version=2)


def test_negative_engine(tmp_path: Path) -> None:
    """A negative number is an OverflowError, as in py-lmdb."""
    with pytest.raises(OverflowError, match=r"^Integer argument must be >= 0$"):
        lmdb.open(tmp_path / "env", lib_version=-1)
    with pytest.raises(OverflowError, match=r"^Integer argument must be >= 0$"):
        lmdb.version(lib_version=-1)


@pytest.mark.parametrize("number", [0, 1])
def test_version(number: int) -> None:
    """version() gives three numbers of the engine asked for, and with subpatch a fourth: 1, since it is patched."""
    assert lmdb.version(lib_version=number) == VERSIONS[number]
    assert lmdb.version(True, number) == (*VERSIONS[number], 1)
    assert lmdb.version(subpatch=True, lib_version=number) == (*VERSIONS[number], 1)


@pytest.mark.parametrize(("value", "number"), [("", None), ("0", 0), ("1", 1)])
def test_default_switch(python: Callable[..., str], value: str, number: int | None) -> None:
    """LMDB_DEFAULT_LIB_VERSION chooses the engine of new environments, and of version(); unset, it is 0.9."""
    script = (
        "import os; os.environ.get('LMDB_DEFAULT_LIB_VERSION') or os.environ.pop('LMDB_DEFAULT_LIB_VERSION', None); "
        "import lmdb_bindings as lmdb; print(lmdb.version(), lmdb.open('new').lib_version())"
    )
    expected = VERSIONS[number or 0]
    assert python(script, LMDB_DEFAULT_LIB_VERSION=value) == f"{expected} {expected}"


@pytest.mark.parametrize("value", ["", "2", "-1", "0.9", "1.0", "one"])
def test_default_switch_is_strict(python: Callable[..., str], value: str) -> None:
    """Any other value of LMDB_DEFAULT_LIB_VERSION stops the import with what to do."""
    script = "try:\n    import lmdb_bindings\nexcept ImportError as error:\n    print(error)"
    assert python(script, LMDB_DEFAULT_LIB_VERSION=value) == (
        f"LMDB_DEFAULT_LIB_VERSION is {value!r}: set it to 0 (LMDB 0.9) or 1 (LMDB 1.0), or unset it"
    )
