"""macOS and Windows, by their documented behaviour: fakes stand for the systems, and nothing here has run on them.

Each fake is what the system's manual says of the functions that the loader calls there, and no more.
"""

from __future__ import annotations

import ctypes
import io
import os
from pathlib import Path
from typing import Any

import pytest

from sharedlib_loader import LibraryConflictError, LibraryLoadError, SharedLibrary, _runtime, load, native_names

pytestmark = pytest.mark.requirement("R19")


class Image:
    """A loaded library, as ctypes shows one."""

    def __init__(self, name: str, handle: int) -> None:
        self._name, self._handle = name, handle

    def sample_version(self) -> int:
        return self._handle


def describe(path: Path, soname: str) -> SharedLibrary:
    return SharedLibrary(
        name="sample-3", soname=soname, path=path, version="3", distribution="sample-wheel", symbols=("sample_version",)
    )


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded in a fake is forgotten with it."""
    monkeypatch.setattr(_runtime, "_loaded", {})
    monkeypatch.setattr(_runtime, "_kept", [])


def test_each_system_has_its_rules() -> None:
    """The table of systems is by sys.platform; what is not in it is taken to be ELF."""
    assert {"darwin": _runtime._MachO, "win32": _runtime._Windows} == _runtime._SYSTEMS
    assert type(_runtime._platform) is _runtime._Elf


# -- Linux -----------------------------------------------------------------------------------------------------------


def test_a_dynamic_loader_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, library: Path) -> None:
    """Where dlinfo or dladdr fail, which they do for no valid handle, no path is made up."""
    handle = ctypes.CDLL(str(library))

    class Process:
        class Failing:
            argtypes: object = None

            def __init__(self, status: int) -> None:
                self.status = status

            def __call__(self, *_: object) -> int:
                return self.status

        def __init__(self, _: object) -> None:
            self.dlinfo, self.dladdr = self.Failing(-1), self.Failing(0)

        def __getitem__(self, symbol: str) -> Any:
            return handle[symbol]

    monkeypatch.setattr("ctypes.CDLL", Process)
    with pytest.raises(OSError, match=rf"^dlinfo fails for {library}$"):
        _runtime._platform.path_of(handle)
    with pytest.raises(OSError, match=r"^dladdr fails for sample_version$"):
        _runtime._platform.global_owner("sample_version")


# -- macOS -----------------------------------------------------------------------------------------------------------

MACH_O = b"\xcf\xfa\xed\xfe" + bytes(60)


class Dyld:
    """dlopen(3) and dyld(3): an image is found by its path and by its install name; RTLD_NOLOAD loads nothing.

    Attributes:
        install_names: the install name of each file on the disk.
        images: the files loaded, in order; the first is the program.
    """

    def __init__(self, install_names: dict[str, str]) -> None:
        self.install_names = install_names
        self.images = ["/usr/bin/python3"]
        self.modes: list[int] = []

    def open(self, name: str | None, mode: int = 0) -> Any:
        self.modes.append(mode)
        if name is None:
            return self
        for index, path in enumerate(self.images):
            if name in (path, self.install_names.get(path)):
                return Image(path, index)
        if mode & os.RTLD_NOLOAD or not os.path.exists(name):
            raise OSError(f"dlopen({name}, {mode:#06x}): image not already loaded")
        self.images.append(name)
        return Image(name, len(self.images) - 1)

    def _dyld_image_count(self) -> int:
        return len(self.images)

    @property
    def _dyld_get_image_name(self) -> Any:
        class Function:
            restype: object = ctypes.c_int

            def __call__(function, index: int) -> bytes:  # noqa: N805 - self is the Dyld
                assert function.restype is ctypes.c_char_p  # an int would cut the pointer
                return self.images[index].encode()

        if not hasattr(self, "_function"):
            self._function = Function()
        return self._function


@pytest.fixture
def dyld(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dyld:
    """A macOS with two files of one install name."""
    names = {}
    for folder in ("ours", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "libsample.3.dylib").write_bytes(MACH_O)
        names[str(tmp_path / folder / "libsample.3.dylib")] = "@rpath/libsample.3.dylib"
    fake = Dyld(names)
    monkeypatch.setattr(_runtime, "_platform", _runtime._MachO())
    monkeypatch.setattr("ctypes.CDLL", fake.open)
    return fake


def test_macos_knows_a_library_by_its_install_name(dyld: Dyld, tmp_path: Path) -> None:
    """The post-condition asks for the install name that consumers record, and the image list gives the path."""
    path = tmp_path / "ours" / "libsample.3.dylib"
    record = load(describe(path, "@rpath/libsample.3.dylib"))
    assert (record.path, record.conflict, record.origin) == (path, None, "wheel")
    assert dyld.images == ["/usr/bin/python3", str(path)]
    # macOS' default is RTLD_GLOBAL: each call says otherwise.
    assert all(mode & os.RTLD_GLOBAL == 0 for mode in dyld.modes)
    assert os.RTLD_NOW | os.RTLD_LOCAL in dyld.modes


def test_macos_names_a_copy_that_came_first(dyld: Dyld, tmp_path: Path) -> None:
    """Another file of the install name wins, and is named before ours is loaded."""
    dyld.open(str(tmp_path / "other" / "libsample.3.dylib"))
    with pytest.raises(LibraryConflictError, match=rf"resolves to {tmp_path}/other/libsample\.3\.dylib"):
        load(describe(tmp_path / "ours" / "libsample.3.dylib", "@rpath/libsample.3.dylib"))
    assert len(dyld.images) == 2


def test_macos_finds_out_another_install_name(dyld: Dyld, tmp_path: Path) -> None:
    """A file whose install name is not the one promised is found out once it is loaded."""
    path = tmp_path / "ours" / "libsample.3.dylib"
    dyld.install_names[str(path)] = "/build/libsample.3.dylib"
    with pytest.raises(LibraryConflictError, match=r"does not answer to the SONAME @rpath/libsample\.3\.dylib"):
        load(describe(path, "@rpath/libsample.3.dylib"))


def test_macos_refuses_what_is_no_library(dyld: Dyld, tmp_path: Path) -> None:
    """An ELF file, or an empty one, is refused before dyld sees it; a universal one is not."""
    path = tmp_path / "libsample.3.dylib"
    for data in (b"", b"\x7fELF" + bytes(60)):
        path.write_bytes(data)
        with pytest.raises(LibraryLoadError, match="no Mach-O header"):
            load(describe(path, "libsample.3.dylib"))
    assert _runtime._MachO().has_name(io.BytesIO(b"\xca\xfe\xba\xbe" + bytes(60)), "any")
    assert len(dyld.images) == 1


def test_macos_without_the_image(dyld: Dyld) -> None:
    """An image that the list does not have, which cannot be, is an error and not a guess."""
    dyld.images.append("/gone.dylib")
    with pytest.raises(OSError, match=r"^dyld has no image for nothing$"):
        _runtime._platform.path_of(Image("nothing", 99))  # type: ignore[arg-type]


# -- Windows ---------------------------------------------------------------------------------------------------------

PE = b"MZ" + bytes(62)


class Windows:
    """LoadLibraryEx, GetModuleHandle and GetModuleFileName: a module is found by its path, and by its file name alone.

    Attributes:
        modules: path and handle of what is loaded; of two with one file name, the first is found by it.
        folders: what ``os.add_dll_directory`` was given, and is not closed.
    """

    def __init__(self) -> None:
        self.modules: dict[str, int] = {}
        self.folders: list[str] = []

    def load(self, name: str, handle: int | None = None) -> Image:
        if handle is None:
            if name not in self.modules and not os.path.exists(name):
                raise OSError(f"Could not find module '{name}' (or one of its dependencies).")
            # Handles are 64-bit pointers: an int argument or result would cut them.
            handle = self.modules.setdefault(name, 0x7FF8_0000_0000 + len(self.modules))
        return Image(name, handle)

    def add_dll_directory(self, folder: str) -> object:
        windows = self
        windows.folders.append(folder)

        class Cookie:
            def __del__(self) -> None:
                windows.folders.remove(folder)

        return Cookie()

    def kernel32(self, name: str, **_: object) -> Any:
        assert name == "kernel32"
        windows = self

        class Function:
            argtypes: list[object]
            restype: object = ctypes.c_int

        class GetModuleHandleW(Function):
            def __call__(self, name: str) -> int | None:
                assert self.argtypes == [ctypes.c_wchar_p]
                assert self.restype is ctypes.c_void_p
                found = (h for path, h in windows.modules.items() if name in (path, os.path.basename(path)))
                return next(found, None)

        class GetModuleFileNameW(Function):
            def __call__(self, handle: int, buffer: Any, size: int) -> int:
                assert self.argtypes == [ctypes.c_void_p, ctypes.c_wchar_p, ctypes.c_uint32]
                path = next((path for path, h in windows.modules.items() if h == handle), "")
                assert size == len(buffer)
                buffer.value = path
                return len(path)

        class Kernel32:
            pass

        library: Any = Kernel32()
        library.GetModuleHandleW, library.GetModuleFileNameW = GetModuleHandleW(), GetModuleFileNameW()
        return library


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Windows:
    """A Windows with two files of one name."""
    for folder in ("ours", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sample-3.dll").write_bytes(PE)
    fake = Windows()
    monkeypatch.setattr(_runtime, "_platform", _runtime._Windows())
    monkeypatch.setattr("ctypes.CDLL", fake.load)
    monkeypatch.setattr("ctypes.WinDLL", fake.kernel32, raising=False)
    monkeypatch.setattr("os.add_dll_directory", fake.add_dll_directory, raising=False)
    for constant in ("RTLD_NOW", "RTLD_LOCAL", "RTLD_NOLOAD"):  # Python has none of them there
        monkeypatch.delattr(f"os.{constant}")
    return fake


def test_windows_knows_a_module_by_its_file_name(windows: Windows, tmp_path: Path) -> None:
    """The library is loaded by its whole path, asked for by its name, and its folder is searched from then on."""
    path = tmp_path / "ours" / "sample-3.dll"
    record = load(describe(path, "sample-3.dll"))
    assert (record.path, record.conflict, record.origin) == (path, None, "wheel")
    assert record.handle == windows.modules[str(path)]
    assert windows.folders == [str(path.parent)]


def test_windows_folder_is_kept(windows: Windows, tmp_path: Path) -> None:
    """The handle of os.add_dll_directory is kept: it would close the folder when it is collected."""
    load(describe(tmp_path / "ours" / "sample-3.dll", "sample-3.dll"))
    _runtime._loaded.clear()
    assert windows.folders == [str(tmp_path / "ours")]
    _runtime._kept.clear()
    assert windows.folders == []


def test_windows_names_a_copy_that_came_first(windows: Windows, tmp_path: Path) -> None:
    """Another file of the name wins, and is named before ours is loaded."""
    windows.load(str(tmp_path / "other" / "sample-3.dll"))
    with pytest.raises(LibraryConflictError, match=rf"resolves to {tmp_path}/other/sample-3\.dll"):
        load(describe(tmp_path / "ours" / "sample-3.dll", "sample-3.dll"))
    assert len(windows.modules) == 1


def test_windows_refuses_what_is_no_library(windows: Windows, tmp_path: Path) -> None:
    """A file that is no PE file is refused before Windows sees it."""
    path = tmp_path / "sample-3.dll"
    path.write_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(LibraryLoadError, match="no PE header"):
        load(describe(path, "sample-3.dll"))
    assert windows.modules == {}


def test_windows_system_search_adds_no_folder(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``system`` asks Windows for the name alone, and adds no folder."""
    monkeypatch.setenv("SHAREDLIB_SAMPLE_3", "system")
    monkeypatch.chdir(tmp_path / "other")  # stands for a folder of the system
    assert load(describe(tmp_path / "ours" / "sample-3.dll", "sample-3.dll")).origin == "system"
    assert windows.folders == []


def test_windows_without_the_module(windows: Windows) -> None:
    """A handle that Windows has no file for is an error and not a guess."""
    assert windows.modules == {}
    with pytest.raises(OSError, match=r"^GetModuleFileNameW fails for nothing$"):
        _runtime._platform.path_of(Image("nothing", 99))  # type: ignore[arg-type]


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "names"),
    [
        (_runtime._Elf, ("libz.so.1", "libz.so.1")),
        (_runtime._MachO, ("libz.1.dylib", "@rpath/libz.1.dylib")),
        (_runtime._Windows, ("libz-1.dll", "libz-1.dll")),
    ],
)
def test_a_library_has_names_on_each_system(
    monkeypatch: pytest.MonkeyPatch, system: type[_runtime._Elf], names: tuple[str, str]
) -> None:
    """A provider describes a library by its SONAME, and gets the file's name and the one that consumers record."""
    monkeypatch.setattr(_runtime, "_platform", system())
    assert native_names("libz.so.1") == names
