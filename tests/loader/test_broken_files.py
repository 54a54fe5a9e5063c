"""Files that cannot be loaded: each kind of damage has its own words, and none of them kills the process."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import liblmdb_wheel
from sharedlib_loader import (
    LibraryConflictError,
    LibraryLoadError,
    LibraryNotFoundError,
    SharedLibrary,
    SharedLibraryError,
    _runtime,
    load,
)
from tests.wheels.elf import Elf

Run = Callable[..., str]

pytestmark = pytest.mark.requirement("R12")


def broken(path: Path) -> SharedLibrary:
    return SharedLibrary(name="sample-3", soname="libsample.so.3", path=path, version="3", distribution="sample-wheel")


REINSTALL = "pip install --force-reinstall sample-wheel"


def refusal(path: Path, kind: type[SharedLibraryError], cure: str = REINSTALL) -> str:
    """The error of loading a file that must be refused; its common parts are checked here."""
    with pytest.raises(kind) as caught:
        load(broken(path))
    assert isinstance(caught.value, ImportError)
    assert caught.value.library == "sample-3"
    assert caught.value.cure == cure
    assert caught.value.tried[0].startswith(f"{path}: ")
    assert str(path) not in Path("/proc/self/maps").read_text()  # nothing half-loaded
    return str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is LibraryNotFoundError, in the system's words."""
    message = refusal(tmp_path / "absent.so", LibraryNotFoundError)
    assert message.startswith("sample-3: the file does not exist\n")
    assert "absent.so: No such file or directory" in message


def test_an_empty_file(tmp_path: Path) -> None:
    """An empty file is not a shared library."""
    path = tmp_path / "empty.so"
    path.touch()
    assert refusal(path, LibraryLoadError).startswith("sample-3: the file is not a shared library\n")


def test_a_text_file(tmp_path: Path) -> None:
    """A linker script, or any text, is not a shared library."""
    path = tmp_path / "script.so"
    path.write_text("INPUT(-l:libsample.so.3)\n" * 10)
    assert "no ELF header" in refusal(path, LibraryLoadError)


def test_a_folder(tmp_path: Path) -> None:
    """A folder in the library's place is told apart."""
    assert "not a regular file" in refusal(tmp_path, LibraryLoadError)


def test_a_pipe(tmp_path: Path) -> None:
    """A named pipe is refused at once; opening it would wait for a writer for ever."""
    os.mkfifo(tmp_path / "pipe.so")
    assert "not a regular file" in refusal(tmp_path / "pipe.so", LibraryLoadError)


@pytest.mark.parametrize(
    ("at", "value"), [(54, b"\0\0"), (54, b"\1\0"), (32, b"\xff" * 8), (16, b"\0" * 48), (4, b"\7\7")]
)
def test_a_damaged_header(at: int, value: bytes, tmp_path: Path) -> None:
    """Whatever is wrong in the ELF header, the error is the loader's own."""
    data = bytearray(liblmdb_wheel.library_path("0.9").read_bytes())
    data[at : at + len(value)] = value
    path = tmp_path / "damaged.so"
    path.write_bytes(data)
    refusal(path, LibraryLoadError)


def test_a_dynamic_section_beyond_the_end(tmp_path: Path) -> None:
    """A dynamic section that the file does not hold is not read, however long it claims to be."""
    data = bytearray(liblmdb_wheel.library_path("0.9").read_bytes())
    elf = Elf(bytes(data)).file
    number = next(number for number, part in enumerate(elf.iter_segments()) if part["p_type"] == "PT_DYNAMIC")
    p_filesz = elf["e_phoff"] + number * elf["e_phentsize"] + 32
    path = tmp_path / "long.so"
    for size in (len(data), 1 << 62):
        data[p_filesz : p_filesz + 8] = size.to_bytes(8, sys.byteorder)
        path.write_bytes(data)
        assert refusal(path, LibraryLoadError).startswith("sample-3: the file is truncated\n")


def test_a_truncated_file(tmp_path: Path) -> None:
    """Any shorter file of which a segment is cut is refused before dlopen sees it, which would die of SIGBUS."""
    whole = liblmdb_wheel.library_path("0.9").read_bytes()
    path = tmp_path / "cut.so"
    for size in (4, 40, 64, 100, 400, len(whole) // 2):
        path.write_bytes(whole[:size])
        assert refusal(path, LibraryLoadError).startswith("sample-3: the file is truncated\n"), size


def test_no_truncation_kills_the_process(run: Run, tmp_path: Path) -> None:
    """Cut at any length, the file is refused or loads; the process lives."""
    script = """
whole, refused = library.path.read_bytes(), 0
for size in range(0, len(whole), max(1, len(whole) // 100)):
    cut = Path(sys.argv[2]) / f"cut-{size}.so"
    cut.write_bytes(whole[:size])
    try:
        load(describe(cut, version_of=None), on_conflict="accept")
    except sharedlib_loader.LibraryLoadError:
        refused += 1
print(refused > 90)
"""
    assert run(script, liblmdb_wheel.library_path("0.9"), tmp_path) == "True"


OTHER = "aarch64" if platform.machine() == "x86_64" else "x86_64"


def test_a_file_for_another_architecture(sample: Callable[..., Path]) -> None:
    """The error names both architectures."""
    message = refusal(sample(target=f"{OTHER}-linux-gnu.2.17"), LibraryLoadError)
    assert message.startswith(f"sample-3: the file is built for {OTHER} (64-bit, little-endian)\n")
    assert f"this interpreter is built for {platform.machine()} (64-bit, little-endian)" in message


def test_a_file_for_another_word_size(sample: Callable[..., Path]) -> None:
    """A 32-bit library is not taken for a damaged one."""
    message = refusal(sample(target="x86-linux-gnu.2.17"), LibraryLoadError)
    assert message.startswith("sample-3: the file is built for x86 (32-bit, little-endian)\n")


def test_a_file_that_may_not_be_read(run: Run, library: Path) -> None:
    """Permissions are named as the cause, not the file's contents."""
    script = """
import shutil, tempfile
folder = Path(tempfile.mkdtemp(dir="/tmp"))
folder.chmod(0o755)
secret = folder / "secret.so"
shutil.copyfile(library.path, secret)
secret.chmod(0)
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    load(describe(secret))
except sharedlib_loader.LibraryLoadError as error:
    print(error)
finally:
    if os.getuid() == 0:
        os.seteuid(0)
    shutil.rmtree(folder)
"""
    message = run(script, library)
    assert message.startswith("sample-3: the file cannot be read\n")
    assert "secret.so: Permission denied" in message
    assert "cause: its permissions, or those of its folder" in message


def test_a_program(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A static program has nothing that a dynamic loader reads, and is told apart."""
    path = compile_c(
        "int main(void) { return 0; }", tmp_path / "program", "-static", target=f"{platform.machine()}-linux-musl"
    )
    message = refusal(path, LibraryLoadError)
    assert message.startswith("sample-3: the file is not a shared library\n")
    assert "program: no dynamic section" in message
    assert "cause: it is a static program" in message


def test_a_dynamic_program(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A dynamic program is refused by the dynamic loader, in its words."""
    path = compile_c("int main(void) { return 0; }", tmp_path / "program", "-pie")
    with pytest.raises(LibraryConflictError, match="the file's DT_SONAME is not"):
        load(broken(path))
    with pytest.raises(LibraryLoadError) as caught:  # to whom the SONAME is no matter
        load(broken(path), on_conflict="accept")
    message = str(caught.value)
    assert "cannot dynamically load position-independent executable" in message
    assert "cause: it is a program and not a library" in message


def test_a_missing_function(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Where no library has a function that the file needs, that is the cause."""
    flags = ["-shared", "-nostdlib", "-Wl,-soname,libsample.so.3"]
    path = compile_c("int absent(void); int sample_version(void) { return absent(); }", tmp_path / "f.so", *flags)
    message = refusal(path, LibraryLoadError)
    assert "undefined symbol: absent" in message
    assert "cause: it needs a function that no library has" in message


def test_a_newer_c_library(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """A file built for a glibc that this system does not have yet is said to be so."""
    source = '__asm__(".symver future, sample_future@GLIBC_9.99"); int future(void); int sample_version(void) { return future(); }'
    stub = "int future(void) { return 1; }"
    script = tmp_path / "future.map"
    script.write_text("GLIBC_9.99 { global: sample_future; };")
    flags = ["-shared", "-nostdlib", "-Wl,-soname,libc.so.6", f"-Wl,--version-script={script}"]
    libc = compile_c(stub.replace("future", "sample_future"), tmp_path / "libc.so.6", *flags)
    path = compile_c(source, tmp_path / "newer.so", "-shared", "-nostdlib", "-Wl,-soname,libsample.so.3", libc)
    cure = "install a build for this system: an older version of the distribution, or one from source"
    message = refusal(path, LibraryLoadError, cure)
    assert "version `GLIBC_9.99' not found" in message
    assert "cause: it is built for a newer C library than this system's" in message


NOEXEC = """
import ctypes, os
MS_NOEXEC, MS_PRIVATE, MS_REC = 8, 1 << 18, 1 << 14
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
libc, user, group = ctypes.CDLL(None), os.getuid(), os.getgid()
folder = os.path.join(sys.argv[2], "mounted")
os.mkdir(folder)
if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user else 0)):
    sys.exit(print("no mount"))
if user:  # who is somebody in the namespace can write files in it
    for name, text in ("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1"):
        Path("/proc/self", name).write_text(text)
if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) \\
        or libc.mount(b"none", folder.encode(), b"tmpfs", MS_NOEXEC, None):
    sys.exit(print("no mount"))
target = describe(os.path.join(folder, "libsample.so.3"))
target.path.write_bytes(library.path.read_bytes())
try:
    load(target)
except sharedlib_loader.LibraryLoadError as error:
    print(error)
"""


def test_a_file_system_without_execution(run: Run, library: Path, tmp_path: Path) -> None:
    """A library on a file system mounted noexec is refused, and the mount is named as the cause."""
    message = run(NOEXEC, library, tmp_path)
    if message == "no mount":
        pytest.skip("this machine lets nobody mount a file system, not even in a namespace of its own")
    assert "failed to map segment from shared object" in message
    assert "cause: its file system is mounted noexec" in message
    assert "cure: install into a file system that allows it" in message


def test_the_words_of_other_systems() -> None:
    """What musl, macOS and Windows say of a missing library leads to the same cause as what glibc says."""
    missing = [
        "libabsent.so: cannot open shared object file: No such file or directory",
        "Error loading shared library libabsent.so: No such file or directory (needed by /x/libsample.so.3)",
        "dlopen(/x/libsample.3.dylib, 0x0006): Library not loaded: @rpath/libabsent.dylib",
        "Could not find module 'C:\\x\\sample.dll' (or one of its dependencies).",
    ]
    for words in missing:
        assert _runtime._refused(broken(Path("/x")), "/x", words).cause == "a library that it needs is missing"
    relocation = "Error relocating /x/libsample.so.3: absent: symbol not found"
    assert _runtime._refused(broken(Path("/x")), "/x", relocation).cause.startswith("it needs a function")


def test_a_missing_dependency(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    """Where a library that the file needs is missing, the dynamic loader's words are given."""
    absent = compile_c(
        "int absent(void) { return 1; }", tmp_path / "libabsent.so", "-shared", "-Wl,-soname,libabsent.so"
    )
    source = "int absent(void); int sample_version(void) { return absent(); }"
    path = compile_c(source, tmp_path / "needs.so", "-shared", "-Wl,-soname,libsample.so.3", absent)
    os.unlink(absent)
    cure = "install what has the library named above, or the provider again"
    message = refusal(path, LibraryLoadError, cure)
    assert message.startswith("sample-3: the dynamic loader refuses the file\n")
    assert re.search(r"tried: \S+needs.so: libabsent.so: cannot open shared object file", message)
    assert "cause: a library that it needs is missing" in message


def test_a_failed_load_can_be_repeated(run: Run, library: Path, tmp_path: Path) -> None:
    """An error is not remembered: once the file is whole, load() works."""
    script = """
target = describe(Path(sys.argv[2]) / "later.so")
try:
    load(target)
except sharedlib_loader.LibraryNotFoundError:
    target.path.write_bytes(library.path.read_bytes())
print(load(target).version)
"""
    assert run(script, library, tmp_path) == "3"
