"""musl: no DT_NEEDED is matched by SONAME there, so a shim makes it search, and the loader opens that.

What is built is read as ELF here, and a fake has musl's rule of names. The tests that need the real thing want a CPython
linked with musl, named by the environment variable MUSL_PYTHON.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import sharedlib_loader
from sharedlib_loader import LibraryConflictError, LibraryLoadError, SharedLibrary, _runtime, load
from sharedlib_loader.build import SharedObject, Toolchain, host
from tests.loader.conftest import DESCRIPTOR, SOURCE
from tests.wheels.elf import Elf

pytestmark = pytest.mark.requirement("R18")

EXPORTS = ("sample_version", "sample_text")


def build(libc: str, version: int, folder: Path) -> Path:
    """Build the sample library as a provider does, for a C library."""
    row = host("musl" if libc == "musl" else "glibc")
    assert row is not None
    folder.mkdir(parents=True)
    source = folder / "sample.c"
    source.write_text(SOURCE % version)
    return SharedObject("libsample.so.3", (source,), EXPORTS).build(
        Toolchain.zig(row, folder / "zig"), folder, folder / "work"
    )


@pytest.fixture(scope="session")
def musl_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library for musl, with its shim."""
    return build("musl", 3, tmp_path_factory.mktemp("musl") / "lib")


@pytest.fixture(scope="session")
def musl_decoy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another file of the SONAME for musl."""
    return build("musl", 2, tmp_path_factory.mktemp("musl") / "lib")


# -- what is built ---------------------------------------------------------------------------------------------------


def test_the_shim_needs_the_library_and_searches_beside_itself(musl_library: Path) -> None:
    """It has DT_NEEDED with the SONAME, $ORIGIN to search, and no code; the linker is zig's, not the machine's."""
    shim = Elf(Path(f"{musl_library}.shim").read_bytes())
    assert shim.needed == {"libsample.so.3"}
    assert [entry.runpath for entry in shim.run_paths] == ["$ORIGIN"]
    assert not shim.exports
    executable = [s for s in shim.file.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_flags"] & 1]
    assert not executable
    assert b"Linker: LLD" in Path(f"{musl_library}.shim").read_bytes()


def test_glibc_needs_no_shim(tmp_path: Path) -> None:
    """A provider for glibc ships one file."""
    library = build("glibc", 3, tmp_path / "lib")
    assert not Path(f"{library}.shim").exists()


# -- musl's rule, by a fake ------------------------------------------------------------------------------------------


class Musl(_runtime._Elf):
    """musl's dlopen: a name without a slash is known only when a search has found it; the shim makes it search.

    Attributes:
        found: the file that the search for the SONAME found.
        search_path: the folder that is searched before the shim's own, as LD_LIBRARY_PATH is.
        opened: what was opened, in order.
    """

    def __init__(self, search_path: Path | None = None) -> None:
        self.found = "/nothing"
        self.search_path = search_path
        self.opened: list[str] = []

    def find(self, name: str) -> ctypes.CDLL | None:
        return super().find(name if "/" in name else self.found)

    def open(self, file: str) -> ctypes.CDLL:
        self.opened.append(os.path.basename(file))
        if file.endswith(".shim"):
            if os.path.getsize(file) == 0:
                raise OSError(f"Error loading shared library {file}: Exec format error")
            self.found = os.path.join(self.search_path or os.path.dirname(file), "libsample.so.3")
            return super().open(self.found)
        return super().open(file)


@pytest.fixture
def unique(sample: Callable[..., Path], request: pytest.FixtureRequest) -> SharedLibrary:
    """A library whose SONAME no other test of this process has loaded."""
    soname = f"{request.node.name}.so"
    return SharedLibrary(
        name=soname, soname=soname, path=sample(soname=soname), version="3", distribution="sample-wheel",
        version_of=lambda cdll: str(cdll.sample_version()),
    )  # fmt: skip


def use(monkeypatch: pytest.MonkeyPatch, musl: Musl) -> Musl:
    monkeypatch.setattr(_runtime, "_platform", musl)
    return musl


def test_the_shim_is_opened_after_the_library(monkeypatch: pytest.MonkeyPatch, unique: SharedLibrary) -> None:
    """Where nothing answers to the SONAME and there is a shim, opening it makes the library answer."""
    musl = use(monkeypatch, Musl())
    Path(f"{unique.path}.shim").write_text("shim")
    assert load(unique).conflict is None
    assert musl.opened == ["libsample.so.3", "libsample.so.3.shim"]


def test_the_shim_is_not_opened_in_vain(unique: SharedLibrary) -> None:
    """Where the library answers to its SONAME, as with glibc, a shim is left alone."""
    Path(f"{unique.path}.shim").write_text("not even a library")
    assert load(unique).conflict is None


def test_without_a_shim_it_is_said(monkeypatch: pytest.MonkeyPatch, unique: SharedLibrary) -> None:
    """The cause is the provider that has no shim, and not the file's SONAME, which is right."""
    use(monkeypatch, Musl())
    with pytest.raises(LibraryConflictError) as caught:
        load(unique)
    assert f"does not answer to the SONAME {unique.soname}" in caught.value.problem
    assert caught.value.cause.startswith("this system knows a library by name only where it found it by a search")
    assert f"{unique.soname}.shim" in caught.value.cause


def test_a_broken_shim_is_named(monkeypatch: pytest.MonkeyPatch, unique: SharedLibrary) -> None:
    """A shim that cannot be opened is an error with its path."""
    use(monkeypatch, Musl())
    Path(f"{unique.path}.shim").touch()
    with pytest.raises(LibraryLoadError, match=r"tried: \S+libsample\.so\.3\.shim: Error loading shared library"):
        load(unique)


def test_a_search_path_that_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch, unique: SharedLibrary, sample: Callable[..., Path]
) -> None:
    """LD_LIBRARY_PATH comes before the shim's RPATH: the copy that it finds is named."""
    decoy = sample(version=2, soname=unique.soname)
    use(monkeypatch, Musl(search_path=decoy.parent))
    Path(f"{unique.path}.shim").write_text("shim")
    with pytest.raises(LibraryConflictError, match=rf"resolves to {decoy} \(version 2\), not to {unique.path}"):
        load(unique)


# -- the real thing --------------------------------------------------------------------------------------------------


@pytest.fixture
def musl_run(tmp_path: Path) -> Callable[..., str]:
    """Run a script with the loader's sources in a CPython that is linked with musl."""
    interpreter = os.environ.get("MUSL_PYTHON")
    if not interpreter:
        pytest.skip("no package index has a CPython linked with musl: build one and name it by MUSL_PYTHON")

    def musl_run(script: str, *arguments: str | Path, **environment: str) -> str:
        sources = {"PYTHONPATH": str(Path(sharedlib_loader.__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [interpreter, "-c", DESCRIPTOR + script, *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **sources, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return musl_run


@pytest.fixture
def musl_dependent(musl_library: Path, compile_c: Callable[..., Path], tmp_path: Path) -> Path:
    """A library for musl with DT_NEEDED for the SONAME, and no RPATH."""
    row = host("musl")
    assert row is not None
    source = "int sample_version(void); int twice(void) { return 2 * sample_version(); }"
    return compile_c(source, tmp_path / "dependent.so", "-shared", "-nostdlib", musl_library, target=row.triple)


def test_musl_binds_a_later_dependent(musl_run: Callable[..., str], musl_library: Path, musl_dependent: Path) -> None:
    """With musl itself: the consumer fails before, and gets our library after, of which there is one."""
    script = """
try:
    ctypes.CDLL(sys.argv[2])
except OSError as error:
    print(error)
record = load(library)
print(record.version, record.conflict, ctypes.CDLL(sys.argv[2]).twice(), mapped("libsample.so.3") == sorted([sys.argv[1], sys.argv[1] + ".shim"]))
"""
    before, after = musl_run(script, musl_library, musl_dependent).splitlines()
    assert before.startswith("Error loading shared library libsample.so.3: No such file or directory")
    assert after == "3 None 6 True"


def test_musl_without_the_shim(musl_run: Callable[..., str], musl_library: Path, tmp_path: Path) -> None:
    """With musl itself: a provider without a shim is found out."""
    alone = tmp_path / "libsample.so.3"
    alone.write_bytes(musl_library.read_bytes())
    script = """
try:
    load(library)
except sharedlib_loader.LibraryConflictError as error:
    print(error.cause)
"""
    assert "the provider has no libsample.so.3.shim" in musl_run(script, alone)


def test_musl_with_a_hostile_search_path(
    musl_run: Callable[..., str], musl_library: Path, musl_decoy: Path, musl_dependent: Path
) -> None:
    """With musl itself: the copy that LD_LIBRARY_PATH has is what consumers get, and is named."""
    script = """
try:
    load(library)
except sharedlib_loader.LibraryConflictError as error:
    print(error.problem)
print(ctypes.CDLL(sys.argv[2]).twice())
"""
    found = musl_run(script, musl_library, musl_dependent, LD_LIBRARY_PATH=str(musl_decoy.parent))
    problem, called = found.splitlines()
    assert problem.startswith(f"the SONAME libsample.so.3 resolves to {musl_decoy} (version 2), not to {musl_library}")
    assert called == "4"


def test_musl_names_what_is_missing(
    musl_run: Callable[..., str], tmp_path: Path, compile_c: Callable[..., Path]
) -> None:
    """With musl itself: its own words lead to the causes."""
    row = host("musl")
    assert row is not None
    absent = compile_c(
        "int absent(void) { return 1; }", tmp_path / "libabsent.so", "-shared", "-nostdlib", target=row.triple
    )
    source = "int absent(void); int sample_version(void) { return absent(); }"
    flags = ["-shared", "-nostdlib", "-Wl,-soname,libsample.so.3"]
    needs = compile_c(source, tmp_path / "needs.so", *flags, absent, target=row.triple)
    calls = compile_c(source, tmp_path / "calls.so", *flags, target=row.triple)
    absent.unlink()
    script = """
for path in sys.argv[1:]:
    try:
        load(describe(path, name=path))
    except sharedlib_loader.LibraryLoadError as error:
        print(error.cause)
"""
    missing, undefined = musl_run(script, needs, calls).splitlines()
    assert missing == "a library that it needs is missing"
    assert undefined.startswith("it needs a function that no library has")
