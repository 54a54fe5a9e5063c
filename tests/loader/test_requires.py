"""Libraries that need other providers' libraries: loaded in order, under one policy, all looked at before one is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R7")


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Path], library: Path) -> tuple[Path, Path]:
    """Two libraries: a middle one that needs the sample, and an upper one that needs the middle one and the sample."""
    middle, upper = (tmp_path_factory.mktemp(name) / f"lib{name}.so.1" for name in ("middle", "upper"))
    needs_sample = [f"-L{library.parent}", "-l:libsample.so.3"]
    flags = ["-shared", "-nostdlib", f"-Wl,-soname,{middle.name}"]
    compile_c(
        "int sample_version(void); int middle(void) { return 10 * sample_version(); }", middle, *flags, *needs_sample
    )
    flags = [
        "-shared",
        "-nostdlib",
        f"-Wl,-soname,{upper.name}",
        f"-L{middle.parent}",
        f"-l:{middle.name}",
        *needs_sample,
    ]
    compile_c(
        "int middle(void), sample_version(void); int upper(void) { return middle() + sample_version(); }", upper, *flags
    )
    return middle, upper


DESCRIBE = """
plain = dict(version_of=None, symbols=(), version="1")
middle = describe(sys.argv[2], name="middle", soname="libmiddle.so.1", requires=(library,), **plain)
upper = describe(sys.argv[3], name="upper", soname="libupper.so.1", requires=(middle, library), **plain)
"""


def test_what_it_requires_is_loaded_first(run: Run, library: Path, chain: tuple[Path, Path]) -> None:
    """The deepest comes first, each once, and the record names them in that order."""
    script = (
        DESCRIBE
        + """
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "ctypes.dlopen" else None)
record = load(upper)
order = [path for path in dict.fromkeys(opened) if str(path) in sys.argv]
print(order == sys.argv[1:], [one.name for one in record.requires], record.requires[0] is load(library))
print(ctypes.CDLL(None, handle=record.handle).upper())
"""
    )
    assert run(script, library, *chain) == "True ['sample-3', 'middle'] True\n33"


def test_without_it_the_library_does_not_load(run: Run, library: Path, chain: tuple[Path, Path]) -> None:
    """The order matters: the same file without its requirements is refused by the dynamic loader."""
    script = """
try:
    load(describe(sys.argv[3], name="upper", soname="libupper.so.1", version_of=None, symbols=()))
except sharedlib_loader.LibraryLoadError as error:
    print(error)
"""
    message = run(script, library, *chain)
    assert "libmiddle.so.1: cannot open shared object file" in message
    assert "cause: a library that it needs is missing" in message


def test_a_broken_requirement_opens_nothing(run: Run, library: Path, chain: tuple[Path, Path], tmp_path: Path) -> None:
    """Where one file of several cannot work, none of them is opened."""
    middle, upper = chain
    cut = tmp_path / "cut.so"
    cut.write_bytes(upper.read_bytes()[:200])
    script = (
        DESCRIBE
        + """
try:
    load(upper)
except sharedlib_loader.LibraryLoadError as error:
    print(error.library, error.problem, mapped("libmiddle"), mapped("libsample"))
"""
    )
    assert run(script, library, middle, cut) == "upper the file is truncated [] []"


def test_a_conflict_of_a_requirement(run: Run, library: Path, decoy: Path, chain: tuple[Path, Path]) -> None:
    """A foreign copy of what is required is named before anything is loaded; accepted once, it is still told to others."""
    script = (
        DESCRIBE
        + """
ctypes.CDLL(sys.argv[4])
def attempt():
    try:
        load(upper)
    except sharedlib_loader.LibraryConflictError as error:
        print(error.library, sys.argv[4] in str(error), mapped("libupper") == [])
attempt()
print(load(upper, on_conflict="accept").requires[0].conflict.version)
attempt()
"""
    )
    assert run(script, library, *chain, decoy) == "sample-3 True True\n2\nsample-3 True False"


def test_a_requirement_that_was_loaded_meanwhile(run: Run, library: Path, chain: tuple[Path, Path]) -> None:
    """A version_of that loads what is next keeps the record that others may have already."""
    script = """
middle = describe(sys.argv[2], name="middle", soname="libmiddle.so.1", version_of=None, symbols=())
kept = []
def version_of(cdll):
    kept.append(load(middle))
    return "3"
first = describe(sys.argv[1], version_of=version_of)
both = describe(sys.argv[3], name="upper", soname="libupper.so.1", version_of=None, symbols=(), requires=(first, middle))
print(load(both).requires[1] is kept[0], load(middle) is kept[0])
"""
    # The sample is mapped when its version is asked, so the middle one, which needs it, can be loaded there.
    assert run(script, library, *chain) == "True True"
