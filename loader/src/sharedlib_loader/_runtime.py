"""Load a shared library that a wheel provides: once, locally, and with proof that later users bind to it.

glibc matches a ``DT_NEEDED`` entry by SONAME against what is already loaded, before it searches anything. So a
library preloaded here by its absolute path is the one that every extension module loaded later gets, without RPATH
and without ``LD_LIBRARY_PATH``. That holds only while no other copy of the SONAME came first, and this module
checks it instead of hoping.

Not for finding providers (see ``_discovery``) and not for building them (see ``build``). This file uses nothing but
the standard library and nothing else of this package, so a project may copy it and keep it.

A binding imports this at every start of its program, so what takes milliseconds to import is imported where it is
needed (``pathlib``), for type checkers alone (``typing``: they take any variable ``TYPE_CHECKING`` as true), or not at
all (``dataclasses``, ``threading``, ``re``).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from _collections_abc import Callable  # collections.abc would bring all of collections
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO, Literal

    Origin = Literal["wheel", "system", "override", "already loaded"]
    Policy = Literal["raise", "warn", "accept"]
else:
    Origin = Policy = str

__all__ = [
    "Conflict",
    "LibraryConflictError",
    "LibraryConflictWarning",
    "LibraryLoadError",
    "LibraryNotFoundError",
    "LoadedLibrary",
    "Origin",
    "Policy",
    "SharedLibrary",
    "SharedLibraryError",
    "SwitchError",
    "load",
]


# -- records ---------------------------------------------------------------------------------------------------------


class _Record:
    """A frozen record of its fields: compared, hashed, shown and pickled by them.

    Not a dataclass: ``dataclasses`` needs ``inspect``, and its import takes longer than loading a library does.
    """

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__dict__)})"


class SharedLibrary(_Record):
    """What a provider ships: a description, nothing that loads anything.

    Attributes:
        name: the name consumers ask for, unique among providers, such as ``"lmdb-0.9"``.
        soname: the ``DT_SONAME`` of the file, which is also its file name, such as ``"liblmdb.so.0"``.
        path: absolute path of the file in the installed provider.
        version: the version shipped.
        distribution: the distribution to install again when the file is damaged.
        version_of: reads the version from a loaded library; the loader also asks it about a foreign copy.
    """

    name: str
    soname: str
    version: str
    distribution: str
    version_of: Callable[[ctypes.CDLL], str] | None

    def __init__(
        self,
        *,
        name: str,
        soname: str,
        path: str | os.PathLike[str],
        version: str,
        distribution: str,
        version_of: Callable[[ctypes.CDLL], str] | None = None,
    ) -> None:
        file = os.fspath(path)
        if not os.path.isabs(file):  # the dynamic loader would search for it, or take it from the current folder
            raise ValueError(f"{name}: the path of a library must be absolute, and is {file!r}")
        super().__init__(
            name=name, soname=soname, path=file, version=version, distribution=distribution, version_of=version_of
        )

    @property
    def path(self) -> Path:
        return _as_path(self.__dict__["path"])

    @property
    def switch(self) -> str:
        """The environment variable that chooses another file: ``wheel``, ``system`` or an absolute path."""
        letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in self.name.upper())
        return "SHAREDLIB_" + "".join(letters)


class Conflict(_Record):
    """Another library answers to the SONAME, so a later ``DT_NEEDED`` would bind to that one.

    Attributes:
        path: the file that wins; None where nothing answers (the file loaded has no such SONAME).
        version: its version; None where it cannot be read.
    """

    version: str | None

    def __init__(self, path: str | os.PathLike[str] | None, version: str | None) -> None:
        super().__init__(path=None if path is None else os.fspath(path), version=version)

    @property
    def path(self) -> Path | None:
        file = self.__dict__["path"]
        return None if file is None else _as_path(file)


class LoadedLibrary(_Record):
    """What :func:`load` did; the same record for every call.

    Attributes:
        name: the library's name in its :class:`SharedLibrary`.
        path: the file that is mapped, as the dynamic loader names it.
        soname: the SONAME that was checked.
        version: what the loaded library says of itself; where it cannot say, the shipped version for the provider's
            file and ``"unknown"`` for any other.
        handle: the ``dlopen`` handle. It is never closed: closing would undo the preload for everybody.
        origin: ``"wheel"``, ``"system"`` or ``"override"`` for what the switch chose; ``"already loaded"`` where
            that very file was in the process before this call.
        conflict: None where the SONAME resolves to this very handle, which is the purpose.
    """

    name: str
    soname: str
    version: str
    handle: int
    origin: Origin
    conflict: Conflict | None

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        soname: str,
        version: str,
        handle: int,
        origin: Origin,
        conflict: Conflict | None,
    ) -> None:
        super().__init__(
            name=name, path=os.fspath(path), soname=soname, version=version, handle=handle, origin=origin,
            conflict=conflict,
        )  # fmt: skip

    @property
    def path(self) -> Path:
        return _as_path(self.__dict__["path"])


def _as_path(file: str) -> Path:
    # The records hold text, since only their readers want a Path. A property stands before the field of its name.
    from pathlib import Path

    return Path(file)


# -- errors ----------------------------------------------------------------------------------------------------------


class SharedLibraryError(ImportError):
    """A shared library cannot be provided. The base of every error here.

    Attributes:
        library: the library's name.
        problem: what failed, in one line.
        tried: the places tried, each with the reason why it failed, in the system's own words where it gave any.
        cause: what is most likely wrong.
        cure: what to do about it.
    """

    def __init__(self, library: str, problem: str, *, tried: tuple[str, ...] = (), cause: str, cure: str) -> None:
        places = "".join(f"\n  tried: {place}" for place in tried)
        super().__init__(f"{library}: {problem}{places}\n  cause: {cause}\n  cure: {cure}", name=library)
        self.library = library
        self.problem = problem
        self.tried = tried
        self.cause = cause
        self.cure = cure

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process pools by pickle, which knows positional arguments alone."""
        from functools import partial

        return partial(type(self), tried=self.tried, cause=self.cause, cure=self.cure), (self.library, self.problem)


class LibraryNotFoundError(SharedLibraryError):
    """The file is not where the provider, the override or the system was expected to have it."""


class LibraryLoadError(SharedLibraryError):
    """The file is there and cannot be loaded: unreadable, truncated, for another architecture, or incomplete."""


class LibraryConflictError(SharedLibraryError):
    """The library is loaded, and its SONAME resolves to another file."""


class LibraryConflictWarning(UserWarning):
    """:class:`LibraryConflictError` under the policy ``"warn"``."""


class SwitchError(SharedLibraryError):
    """The environment switch has a value that is neither ``wheel`` nor ``system`` nor an absolute path."""


# -- loading ---------------------------------------------------------------------------------------------------------

_lock = RLock()  # re-entrant: a version_of may load what its library needs
_loaded: dict[SharedLibrary, LoadedLibrary] = {}
_kept: list[ctypes.CDLL] = []  # PyPy closes a library when the object is collected


def _renew_lock() -> None:
    # Another thread of the parent may have held the lock at fork(); in the child nobody would ever release it.
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def load(library: SharedLibrary, *, on_conflict: Policy = "raise") -> LoadedLibrary:
    """Load a library into this process, ``RTLD_LOCAL | RTLD_NOW``, and prove that its SONAME resolves to it.

    Idempotent and safe to call from any thread: the first call loads, later calls return the same record. The
    library stays loaded for the life of the process.

    Args:
        library: what to load, from :func:`sharedlib_loader.find` or a provider's own API.
        on_conflict: what to do when another copy answers to the SONAME. ``"raise"`` is right for callers whose
            native code has it as ``DT_NEEDED``; ``"accept"`` for callers that use the returned handle alone.

    Raises:
        SwitchError: the environment switch has an unknown value.
        LibraryNotFoundError: there is no such file.
        LibraryLoadError: the file cannot be loaded.
        LibraryConflictError: another library answers to the SONAME, and ``on_conflict`` is ``"raise"``.
        ValueError: ``on_conflict`` is not a policy.
    """
    if on_conflict not in ("raise", "warn", "accept"):
        raise ValueError(f"on_conflict must be 'raise', 'warn' or 'accept', not {on_conflict!r}")
    with _lock:
        record = _loaded.get(library)
        if record is None:
            record = _loaded[library] = _load(library)
    if record.conflict is not None and on_conflict != "accept":
        error = _conflict_error(library, record, record.conflict)
        if on_conflict == "raise":
            raise error
        import warnings

        warnings.warn(str(error), LibraryConflictWarning, stacklevel=2)
    return record


def _load(library: SharedLibrary) -> LoadedLibrary:
    origin, target = _choose(library)
    shipped = library.version if origin == "wheel" else "unknown"
    if os.path.isabs(target):
        _check_file(library, target)
    if _open_if_mapped(target) is not None:
        origin = "already loaded"
    cdll = _open(library, target)
    _kept.append(cdll)
    return LoadedLibrary(
        name=library.name,
        path=_path_of(cdll),
        soname=library.soname,
        version=_version(library, cdll) or shipped,
        handle=_handle(cdll),
        origin=origin,
        conflict=_conflict(library, cdll),
    )


def _choose(library: SharedLibrary) -> tuple[Origin, str]:
    """What the environment switch says: the origin, and what to hand to ``dlopen``."""
    value = os.environ.get(library.switch, "wheel")
    if value == "wheel":
        return "wheel", library.__dict__["path"]
    if value == "system":
        # The SONAME, never the development name: libX.so may be a linker script, or of another version.
        return "system", library.soname
    if os.path.isabs(value):
        return "override", value
    raise SwitchError(
        library.name,
        f"the environment variable {library.switch} is {value!r}",
        cause="it must be 'wheel', 'system' or an absolute path; nothing else, and no relative path, is searched",
        cure=f"unset {library.switch}, or set it to one of these",
    )


def _open(library: SharedLibrary, target: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(target, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        if not os.path.isabs(target):
            raise LibraryNotFoundError(
                library.name,
                f"the system has no {target} that can be loaded",
                tried=(f"{target}: {error}",),
                cause=f"{library.switch} is 'system', and the system's loader does not find or accept the library",
                cure=f"install the system's package, or unset {library.switch} to use {library.distribution}'s",
            ) from error
        raise LibraryLoadError(
            library.name,
            "the dynamic loader refuses the file",
            tried=(f"{target}: {error}",),
            cause="a library or a symbol that it needs is missing, or it is a program and not a library",
            cure=_cure(library, target),
        ) from error


def _conflict(library: SharedLibrary, cdll: ctypes.CDLL) -> Conflict | None:
    """None where ``DT_NEEDED <soname>`` would now bind to ``cdll``; handles are equal exactly then."""
    winner = _open_if_mapped(library.soname)
    if winner is None:
        return Conflict(path=None, version=None)
    if _handle(winner) == _handle(cdll):
        return None
    return Conflict(path=_path_of(winner), version=_version(library, winner))


def _conflict_error(library: SharedLibrary, record: LoadedLibrary, conflict: Conflict) -> LibraryConflictError:
    if conflict.path is None:
        return LibraryConflictError(
            library.name,
            f"{record.path} is loaded, and nothing answers to the SONAME {library.soname}",
            tried=(f"dlopen({library.soname!r}, RTLD_NOLOAD): not loaded",),
            cause=f"the file's DT_SONAME is not {library.soname}, so no DT_NEEDED can resolve to it",
            cure=_cure(library, os.fspath(record.path)),
        )
    return LibraryConflictError(
        library.name,
        f"{record.path} (version {record.version}) is loaded, and the SONAME {library.soname} resolves to "
        f"{conflict.path} (version {conflict.version or 'unknown'})",
        tried=(f"dlopen({library.soname!r}, RTLD_NOLOAD): {conflict.path}",),
        cause="that copy was loaded first, by another package, LD_PRELOAD or LD_LIBRARY_PATH; native code would use it",
        cure=f"load {library.name} before what brings that copy, or set {library.switch}={conflict.path} to share it",
    )


def _cure(library: SharedLibrary, target: str) -> str:
    if target == library.__dict__["path"]:
        return f"pip install --force-reinstall {library.distribution}"
    return f"correct or unset {library.switch}"


def _version(library: SharedLibrary, cdll: ctypes.CDLL) -> str | None:
    if library.version_of is None:
        return None
    try:
        return library.version_of(cdll)
    except AttributeError:  # a foreign library of the same SONAME need not have the function
        return None


# -- the dynamic loader's own view (glibc) ---------------------------------------------------------------------------

_RTLD_DI_LINKMAP = 2  # <dlfcn.h>: the same on every glibc architecture


class _LinkMap(ctypes.Structure):
    """The public head of ``struct link_map`` (<link.h>)."""

    _fields_ = [("l_addr", ctypes.c_size_t), ("l_name", ctypes.c_char_p)]


def _open_if_mapped(target: str) -> ctypes.CDLL | None:
    """The library that ``target`` names, if it is in the process already; loads nothing."""
    try:
        return ctypes.CDLL(target, mode=os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NOLOAD)
    except OSError:
        return None


def _handle(cdll: ctypes.CDLL) -> int:
    """What ``dlopen`` returned: CPython has the number itself, PyPy an object that converts to it."""
    return int(cdll._handle)


def _path_of(cdll: ctypes.CDLL) -> str:
    """The file behind a handle, as the dynamic loader knows it."""
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_LinkMap))]
    link_map = ctypes.POINTER(_LinkMap)()
    if dlinfo(_handle(cdll), _RTLD_DI_LINKMAP, ctypes.byref(link_map)) != 0:
        raise OSError(f"dlinfo fails for {cdll._name}")
    # Absolute, also where LD_LIBRARY_PATH or another caller's dlopen was not.
    return os.path.abspath(os.fsdecode(link_map.contents.l_name))


# -- the file, before the dynamic loader sees it ---------------------------------------------------------------------

# e_machine (ELF gABI, chapter 4): enough to name what people mix up.
_MACHINES = {
    3: "x86", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv",
    258: "loongarch",
}  # fmt: skip
_HEADER_SIZE = 64  # of a 64-bit file; a 32-bit one has 52 bytes, and code after them
_PT_LOAD = 1


def _check_file(library: SharedLibrary, path: str) -> None:
    """Refuse a file that cannot work, in words. ``dlopen`` of a truncated file does not fail: it dies of SIGBUS."""

    def refusal(problem: str, reason: object, cause: str) -> SharedLibraryError:
        kind = LibraryNotFoundError if isinstance(reason, FileNotFoundError) else LibraryLoadError
        words = reason.strerror if isinstance(reason, OSError) else reason
        return kind(library.name, problem, tried=(f"{path}: {words}",), cause=cause, cure=_cure(library, path))

    mine = _architecture(_own_head())
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading from a pipe or a device might never end
            raise refusal("the file is not a shared library", "not a regular file", "something else has its place")
        with open(path, "rb") as stream:
            head = stream.read(_HEADER_SIZE)
            size = os.fstat(stream.fileno()).st_size
            if head[:4] != b"\x7fELF":
                raise refusal("the file is not a shared library", "no ELF header", "it is empty or was overwritten")
            if len(head) < _HEADER_SIZE or size < _end_of_segments(stream, head):
                reason = f"{size} bytes, and its segments need more"
                raise refusal("the file is truncated", reason, "a copy or an installation was cut short")
            if (built_for := _architecture(head)) != mine:
                cause = f"this interpreter is built for {mine}"
                raise refusal(f"the file is built for {built_for}", "wrong architecture", cause)
    except FileNotFoundError as error:
        raise refusal("the file does not exist", error, "the installation is incomplete, or it was removed") from error
    except OSError as error:
        raise refusal("the file cannot be read", error, "its permissions, or those of its folder") from error
    except (ValueError, OverflowError, struct.error) as error:
        raise refusal("the file is damaged", f"its ELF header is wrong ({error})", "parts were overwritten") from error


def _own_head() -> bytes:
    with open("/proc/self/exe" if os.path.exists("/proc/self/exe") else sys.executable, "rb") as stream:
        return stream.read(64)


def _architecture(head: bytes) -> str:
    """Machine, word size and byte order of an ELF file, from its header (ELF gABI, chapter 4)."""
    order = "little" if head[5] == 1 else "big"
    machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    return f"{_MACHINES.get(machine, f'machine {machine}')} ({32 * head[4]}-bit, {order}-endian)"


def _end_of_segments(stream: BinaryIO, head: bytes) -> int:
    """The number of bytes that the file must have for every ``PT_LOAD`` segment to be whole."""
    order = "<" if head[5] == 1 else ">"
    is_64 = head[4] == 2
    e_phoff = struct.unpack_from(order + ("Q" if is_64 else "I"), head, 32 if is_64 else 28)[0]
    e_phentsize, e_phnum = struct.unpack_from(order + "HH", head, 54 if is_64 else 42)
    stream.seek(e_phoff)
    table = stream.read(e_phentsize * e_phnum)
    end: int = e_phoff + e_phentsize * e_phnum
    if len(table) < e_phentsize * e_phnum:
        return end
    # p_type, p_offset, p_filesz of Elf64_Phdr and Elf32_Phdr
    layout = struct.Struct(order + ("I4xQ16xQ" if is_64 else "II8xI"))
    for at in range(0, len(table), e_phentsize):
        p_type, p_offset, p_filesz = layout.unpack_from(table, at)
        if p_type == _PT_LOAD:
            end = max(end, p_offset + p_filesz)
    return end
