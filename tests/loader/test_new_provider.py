"""``python -m sharedlib_loader new-provider``: what it writes builds, installs, passes its own tests, and is linked."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from sharedlib_loader import new_provider
from sharedlib_loader.build import host
from sharedlib_loader.new_provider import FILES, NewProviderError, create

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

FIT = {"soname": "libsample.so.3", "version": "3.1", "prefix": "sample_"}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generate(folder: Path, *arguments: str) -> None:
    run(sys.executable, "-m", "sharedlib_loader", "new-provider", *arguments, cwd=folder)


def install(project: Path) -> tuple[Path, Path]:
    """Build a project's wheel, from its sdist, and install it into a fresh environment; give the wheel and the interpreter.

    The environment has the development tools behind what is installed into it: the build's requirements and pytest.
    """
    run(sys.executable, "-m", "build", "--no-isolation", project, cwd=project.parent)
    [wheel] = (project / "dist").glob("*.whl")
    environment = project.parent / "environment"
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, environment, cwd=project.parent)
    python = environment / "bin" / "python"
    site = next((environment / "lib").glob("python*")) / "site-packages"
    (site / "tools.pth").write_text(sysconfig.get_path("purelib"))
    run(
        BIN / "uv",
        "pip",
        "install",
        "--quiet",
        "--no-cache",
        "--no-index",
        "--no-deps",
        "--python",
        python,
        wheel,
        cwd=environment,
    )
    return wheel, python


def test_what_it_writes_works_as_it_is(tmp_path: Path) -> None:
    """The project builds for everybody's platform tag, and passes the test that comes with it."""
    generate(tmp_path, "greeting")
    project = tmp_path / "greeting_wheel"
    wheel, python = install(project)
    row = host("glibc")
    assert row is not None
    assert wheel.name == f"greeting_wheel-0.1.0-py3-none-{'.'.join(row.tags)}.whl"
    with ZipFile(wheel) as files:
        native = {name for name in files.namelist() if files.read(name)[:4] == b"\x7fELF"}
        assert native == {"greeting_wheel/lib/libgreeting.so.0"}
        assert "greeting_wheel/include/greeting.h" in files.namelist()
    assert "3 passed" in run(python, "-m", "pytest", cwd=project)
    package = next((tmp_path / "environment" / "lib").glob("python*")) / "site-packages" / "greeting_wheel"
    flags = run(python, "-m", "pkgconf", "--cflags", "--libs", "greeting", cwd=project)
    root = f"{package}/lib/pkgconfig/../.."
    assert flags.split() == [f"-I{root}/include", f"-L{root}/lib", "-l:libgreeting.so.0"]


def test_a_library_of_strangers_takes_the_place(
    tmp_path: Path, compile_c: Callable[..., Path], python: Callable[..., str]
) -> None:
    """With Monocypher's two files in upstream/ it is Monocypher's provider, and a consumer that links it is right."""
    options = ["--soname", "libmonocypher.so.4", "--version", "4.0.3", "--prefix", "crypto_"]
    generate(tmp_path, "monocypher", *options)
    project = tmp_path / "monocypher_wheel"
    for file in (project / "upstream").iterdir():  # monocypher.c and .h, by the name of the provider
        file.write_bytes((ROOT / "liblmdb_wheel" / "upstream" / "monocypher" / file.name).read_bytes())
    wheel, interpreter = install(project)
    assert wheel.name.startswith("monocypher_wheel-4.0.3-")
    assert "3 passed" in run(interpreter, "-m", "pytest", cwd=project)

    script = "import monocypher_wheel as m; print(m.include_dir()); print(m.library_dir())"
    include, library = python(script, executable=interpreter).splitlines()
    source = """
#include <monocypher.h>
void digest(unsigned char *hash, const unsigned char *text, unsigned long size)
{
    crypto_blake2b(hash, 64, text, size);
}
"""
    flags = ["-shared", f"-I{include}", f"-L{library}", "-l:libmonocypher.so.4"]
    consumer = compile_c(source, tmp_path / "consumer.so", *flags)
    script = """
import ctypes, hashlib, sys
import monocypher_wheel
try:
    ctypes.CDLL(sys.argv[1])
except OSError as error:
    print(error)
record = monocypher_wheel.load()
digest = ctypes.create_string_buffer(64)
ctypes.CDLL(sys.argv[1]).digest(digest, b"shared", 6)
print(digest.raw == hashlib.blake2b(b"shared").digest(), record.version)
"""
    alone, loaded = python(script, consumer, executable=interpreter).splitlines()
    assert alone.startswith("libmonocypher.so.4: cannot open shared object file")
    assert loaded == "True 4.0.3"


def test_a_prefix_that_no_function_has(tmp_path: Path) -> None:
    """A library that would export nothing is not built: the error says which prefix was looked for."""
    generate(tmp_path, "sample", "--prefix", "other_")
    project = tmp_path / "sample_wheel"
    header = project / "upstream" / "sample.h"
    header.write_text(header.read_text().replace("other_version", "sample_version"))
    command = [sys.executable, "setup.py", "--quiet", "build_py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode != 0
    assert "declares a function whose name begins with other_: correct PREFIX" in done.stderr


def test_what_it_writes_is_clean(tmp_path: Path) -> None:
    """The project's Python is formatted, typed, and has no mark of a template left; nor has any file or name."""
    generate(tmp_path, "two_words")
    project = tmp_path / "two_words_wheel"
    files = [path for path in project.rglob("*") if path.is_file()]
    assert len(files) == len(FILES)
    assert [path for path in files if "@" in str(path) + path.read_text()] == []
    run(BIN / "ruff", "check", "--isolated", "--extend-select", "I,UP,B", "--line-length", "120", ".", cwd=project)
    run(BIN / "ruff", "format", "--isolated", "--check", "--line-length", "120", ".", cwd=project)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    run(*mypy, "src", "tests", cwd=project, MYPYPATH="src")


@pytest.mark.parametrize("name", ["", "Sample", "2fast", "a-b", "a.b", "a b", "größe", "../a", "a\n"])
def test_a_name_that_is_no_identifier(name: str, tmp_path: Path) -> None:
    """A name that could not be part of a package's name is refused, and nothing is written."""
    with pytest.raises(NewProviderError, match="cannot be part of a package's name: use lower-case letters, digits"):
        create(name, into=tmp_path, **FIT)
    assert list(tmp_path.iterdir()) == []


def test_a_keyword_is_no_name(tmp_path: Path) -> None:
    """The entry point's key and the C names are made of the name, and a keyword is none of Python's names."""
    with pytest.raises(NewProviderError, match=r"'lambda' cannot be part .* and no keyword of Python"):
        create("lambda", into=tmp_path, **FIT)


def test_a_name_of_the_standard_library(tmp_path: Path) -> None:
    """The interpreter's own zlib may have loaded the system's libz, which a provider of that SONAME would meet."""
    with pytest.raises(NewProviderError, match=r"'zlib' is a module of the standard library.* such as my_zlib"):
        create("zlib", into=tmp_path, **FIT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("soname", "sample"),
        ("soname", "../libsample.so.1"),
        ("soname", 'libsample.so."1"'),
        ("soname", "libsample.so.1\n"),
        ("version", "next"),
        ("version", "1.0-beta"),
        ("version", ""),
        ("version", "١.٢"),
        ("prefix", "2_"),
        ("prefix", "sample("),
        ("prefix", "größe_"),
        ("prefix", ""),
    ],
)
def test_an_unfit_option(option: str, value: str, tmp_path: Path) -> None:
    """What would become wrong source text is refused with an example of what is right, and nothing is written."""
    with pytest.raises(NewProviderError, match=rf"the {option} .* is unfit: give .*, as in |such as libzstd\.so\.1"):
        create("sample", into=tmp_path, **{**FIT, option: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_not_touched(kind: str, tmp_path: Path) -> None:
    """Whatever has the project's name stays as it was."""
    place = tmp_path / "sample_wheel"
    {"folder": place.mkdir, "file": place.touch, "dangling link": lambda: place.symlink_to("nowhere")}[kind]()
    with pytest.raises(NewProviderError, match="sample_wheel exists: remove it, or choose another name or folder"):
        create("sample", into=tmp_path, **FIT)
    assert list(tmp_path.iterdir()) == [place]
    assert not place.is_dir() or list(place.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be written, neither the project nor its staging folder remains, and the reason is told."""
    monkeypatch.setitem(new_provider.FILES, "py.typed.in", "src/@package@/__init__.py/py.typed")
    with pytest.raises(NewProviderError, match=r"sample_wheel cannot be written: (File exists|Not a directory)"):
        create("sample", into=tmp_path, **FIT)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The folder to write into is not made up from a slip of the pen."""
    with pytest.raises(NewProviderError, match="cannot be written: No such file or directory"):
        create("sample", into=tmp_path / "absent", **FIT)


def test_the_command_line_fails_in_words(tmp_path: Path) -> None:
    """An error is one line on stderr with exit status 1; success names the project."""
    command = [sys.executable, "-m", "sharedlib_loader", "new-provider", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("new-provider: 'json' is a module of the standard library")
    assert done.stderr.count("\n") == 1
    said = run(*command[:-1], "sample", "--into", tmp_path, cwd=Path("/"))
    assert said.startswith(f"{tmp_path / 'sample_wheel'}: a provider of libsample.so.0.")
