"""``liblmdb_bulk.so.0`` under each engine, tested by a C program; and its formats, by Python's own modules.

The program is ``test_bulk.c``, linked with the libraries of the installed wheel. Here each of its tests is a test.
"""

from __future__ import annotations

import io
import marshal
import pickle
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import liblmdb_wheel

SOURCE = Path(__file__).with_suffix(".c")
TESTS = re.findall(r"\bX\((\w+)\)", SOURCE.read_text())


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def program(
    request: pytest.FixtureRequest, compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The test program, linked with one engine and with the bulk library."""
    libraries = [liblmdb_wheel.LMDB_BULK.path, liblmdb_wheel.library_path(request.param)]
    output = tmp_path_factory.mktemp(f"bulk-{request.param}") / "test_bulk"
    include = f"-I{liblmdb_wheel.include_dir(request.param)}"
    return compile_c(SOURCE.read_text(), output, include, *libraries, f"-Wl,-rpath,{liblmdb_wheel.library_dir()}")


def test_the_program_has_tests() -> None:
    """The pattern finds the table of tests."""
    assert len(TESTS) > 20


@pytest.mark.parametrize("name", TESTS)
def test_bulk(name: str, program: Path, tmp_path: Path) -> None:
    """The C test of this name passes."""
    done = subprocess.run([program, tmp_path, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{name}: ok\n"


def test_python_writes_what_it_reads_and_reads_what_it_writes(program: Path, tmp_path: Path) -> None:
    """Input is what ``marshal.dumps(..., 2)`` gives, output what ``pickle.loads`` takes, None included."""
    sizes = [0, 1, 127, 128, 255, 256, 257, 65535, 65536, 300000]
    pairs = [(b"key %d" % size, random.Random(size).randbytes(size)) for size in sizes]
    keys = [b"key 256", b"no key", b"key 0"]
    stdin = b"".join(
        len(data).to_bytes(4, "little") + data for data in (marshal.dumps(pairs, 2), marshal.dumps(keys, 2))
    )
    done = subprocess.run([program, tmp_path, "--exchange"], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    stream = io.BytesIO(done.stdout)
    records, found = pickle.load(stream), pickle.load(stream)
    assert stream.read() == b""
    assert records == [string for pair in sorted(pairs) for string in pair]
    assert found == [b"key 256", dict(pairs)[b"key 256"], b"no key", None, b"key 0", b""]


def test_marshal_writes_any_bytes_like_object_as_bytes() -> None:
    """So callers of the bulk library may hand over ``bytearray`` and ``memoryview`` as they are."""
    assert marshal.dumps([bytearray(b"a"), memoryview(b"b")], 2) == marshal.dumps([b"a", b"b"], 2)


@pytest.mark.parametrize(("symbol", "value"), [("LMDB_BULK_TOO_LARGE", -30600), ("LMDB_BULK_BAD_INPUT", -30601)])
def test_its_own_codes_are_none_of_lmdbs(symbol: str, value: int) -> None:
    """The two codes are outside the ranges of LMDB (-30799 to -30769) and of errno, in both copies of the header."""
    for engine in liblmdb_wheel.engines():
        header = (liblmdb_wheel.include_dir(engine) / "lmdb_bulk.h").read_text()
        assert re.search(rf"^#define {symbol} \({value}\)$", header, re.MULTILINE)


def test_it_is_described_and_loads() -> None:
    """The library is described as the engines are, and says the version of its interface."""
    record = liblmdb_wheel.load_bulk()
    assert (record.name, record.soname, record.version) == ("lmdb-bulk", "liblmdb_bulk.so.0", "1")
    assert record.path == liblmdb_wheel.LMDB_BULK.path == liblmdb_wheel.library_dir() / record.soname
    assert list(liblmdb_wheel.engines()) == ["0.9", "1.0"]
