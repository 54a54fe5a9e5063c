"""Load a shared library that a wheel provides: once, locally, and with proof that later users bind to it.

glibc matches a ``DT_NEEDED`` entry by SONAME against what is already loaded, before it searches anything. So a
library preloaded here by its absolute path is the one that every extension module loaded later gets, without RPATH
and without ``LD_LIBRARY_PATH``. That holds only while no other copy of the SONAME came first, and this module
checks it instead of hoping. Other systems have other rules for the same question: each is a class, at the end.

Not for finding providers (see ``_discovery``), not for building them (see ``build``), and not for explaining a whole
environment (see ``doctor``). This file uses nothing but the standard library and nothing else of this package, so a
project may copy it and keep it.

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
    "LibraryVersionError",
    "LoadedLibrary",
    "Origin",
    "Policy",
    "SharedLibrary",
    "SharedLibraryError",
    "SwitchError",
    "load",
    "native_names",
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
        soname: what consumers have as ``DT_NEEDED``: the ``DT_SONAME`` of the file, which is also its file name, such
            as ``"liblmdb.so.0"``. On macOS the install name, on Windows the file name of the DLL.
        path: absolute path of the file in the installed provider.
        version: the version shipped.
        distribution: the distribution to install again when the file is damaged.
        version_of: reads the version from a loaded library; the loader also asks it about a foreign copy.
        requires: the libraries that it needs itself, of this or of other providers; they are loaded before it, in
            this order.
        symbols: functions that are its own, such as ``("mdb_env_open",)``. Another definition of one of them in the
            global scope of the process would be called in its place, by whoever links it.
        marks: texts that every copy of its code has in it, such as an error message, also a static one with other
            names; only the doctor looks for them.
        implementation: the one interpreter whose functions it calls, as ``sys.implementation.name`` has it; None where
            it works in any.
        systems: the systems that it is built for, as ``sys.platform`` has them; empty where its provider builds it
            for all.
    """

    name: str
    soname: str
    version: str
    distribution: str
    version_of: Callable[[ctypes.CDLL], str] | None
    requires: tuple[SharedLibrary, ...]
    symbols: tuple[str, ...]
    marks: tuple[str, ...]
    implementation: str | None
    systems: tuple[str, ...]

    def __init__(
        self,
        *,
        name: str,
        soname: str,
        path: str | os.PathLike[str],
        version: str,
        distribution: str,
        version_of: Callable[[ctypes.CDLL], str] | None = None,
        requires: tuple[SharedLibrary, ...] = (),
        symbols: tuple[str, ...] = (),
        marks: tuple[str, ...] = (),
        implementation: str | None = None,
        systems: tuple[str, ...] = (),
    ) -> None:
        file = os.fspath(path)
        if not os.path.isabs(file):  # the dynamic loader would search for it, or take it from the current folder
            raise ValueError(f"{name}: the path of a library must be absolute, and is {file!r}")
        super().__init__(
            name=name, soname=soname, path=file, version=version, distribution=distribution, version_of=version_of,
            requires=requires, symbols=symbols, marks=marks, implementation=implementation, systems=systems,
        )  # fmt: skip

    @property
    def path(self) -> Path:
        return _as_path(self.__dict__["path"])

    @property
    def suits(self) -> bool:
        """True where it works in this interpreter, and is built for this system."""
        by_system = not self.systems or sys.platform in self.systems
        return by_system and self.implementation in (None, sys.implementation.name)

    @property
    def switch(self) -> str:
        """The environment variable that chooses another file: ``wheel``, ``system`` or an absolute path."""
        letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in self.name.upper())
        return "SHAREDLIB_" + "".join(letters)


class Conflict(_Record):
    """Another library would be used in place of the one loaded, by whoever has its SONAME as ``DT_NEEDED``.

    Attributes:
        path: the file that wins; None where nothing answers to the SONAME.
        version: its version; None where it cannot be read.
        symbol: the function that the winner has in the global scope of the process, which is searched before any
            ``DT_NEEDED``; None where it wins by answering to the SONAME.
    """

    version: str | None
    symbol: str | None

    def __init__(self, path: str | os.PathLike[str] | None, version: str | None, symbol: str | None = None) -> None:
        super().__init__(path=None if path is None else os.fspath(path), version=version, symbol=symbol)

    @property
    def path(self) -> Path | None:
        file = self.__dict__["path"]
        return None if file is None else _as_path(file)


class LoadedLibrary(_Record):
    """What :func:`load` did; the same record for every call.

    Attributes:
        name: the library's name in its :class:`SharedLibrary`.
        path: the file that is mapped, as the dynamic loader names it; a copy where the provider is in a zip archive.
        soname: the SONAME that was checked.
        version: what the loaded library says of itself; where it cannot say, the shipped version for the provider's
            file and ``"unknown"`` for any other.
        handle: the ``dlopen`` handle. It is never closed: closing would undo the preload for everybody.
        origin: ``"wheel"``, ``"system"`` or ``"override"`` for what the switch chose; ``"already loaded"`` where
            that very file was in the process before this call.
        conflict: None where the SONAME resolves to this very handle, which is the purpose.
        requires: the records of what it needs, in the order in which they were loaded.
    """

    name: str
    soname: str
    version: str
    handle: int
    origin: Origin
    conflict: Conflict | None
    requires: tuple[LoadedLibrary, ...]

    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        soname: str,
        version: str,
        handle: int,
        origin: Origin,
        conflict: Conflict | None,
        requires: tuple[LoadedLibrary, ...] = (),
    ) -> None:
        super().__init__(
            name=name, path=os.fspath(path), soname=soname, version=version, handle=handle, origin=origin,
            conflict=conflict, requires=requires,
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


class LibraryVersionError(SharedLibraryError):
    """The library is older than the caller can use."""


class LibraryConflictError(SharedLibraryError):
    """Whoever needs the SONAME would get another library, or none."""


class LibraryConflictWarning(UserWarning):
    """:class:`LibraryConflictError` under the policy ``"warn"``."""


class SwitchError(SharedLibraryError):
    """The environment switch has a value that is neither ``wheel`` nor ``system`` nor an absolute path."""


# -- names -----------------------------------------------------------------------------------------------------------


def native_names(soname: str) -> tuple[str, str]:
    """What this system calls a library that is ``libname.so.1`` on Linux, for a provider's description of it.

    Returns:
        The name of its file, and what whoever links it records, which is the ``soname`` of a :class:`SharedLibrary`:
        both ``libname.so.1`` on Linux; ``libname.1.dylib`` and ``@rpath/libname.1.dylib`` on macOS; both
        ``libname-1.dll`` on Windows.
    """
    return _platform.file_name(soname), _platform.recorded_name(soname)


# -- loading ---------------------------------------------------------------------------------------------------------

_lock = RLock()  # re-entrant: a version_of may load what its library needs
_loaded: dict[SharedLibrary, LoadedLibrary] = {}
_copies: dict[str, str] = {}  # a file in a zip archive: its copy in a folder
# Never dropped: PyPy closes a library when its object is collected, Windows forgets a folder when its handle is.
_kept: list[object] = []


def _renew_lock() -> None:
    # Another thread of the parent may have held the lock at fork(); in the child nobody would ever release it.
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_renew_lock)


def load(library: SharedLibrary, *, on_conflict: Policy = "raise", min_version: str | None = None) -> LoadedLibrary:
    """Load a library into this process, ``RTLD_LOCAL | RTLD_NOW``, and prove that its SONAME resolves to it.

    Idempotent and safe to call from any thread: the first call loads, later calls return the same record. What the
    library requires is loaded before it, under the same policy. Every file is looked at before the first is opened:
    a refused one leaves nothing behind. What is loaded stays for the life of the process.

    Args:
        library: what to load, from :func:`sharedlib_loader.find` or a provider's own API.
        on_conflict: what to do when another copy would be used in its place. ``"raise"`` is right for callers whose
            native code has it as ``DT_NEEDED``; ``"accept"`` for callers that use the returned handle alone.
        min_version: the oldest version that the caller can use, numbers with dots. The library itself is asked where
            it can tell, else its description.

    Raises:
        SwitchError: the environment switch has an unknown value.
        LibraryNotFoundError: there is no such file.
        LibraryLoadError: the file cannot be loaded.
        LibraryVersionError: it is older than ``min_version``.
        LibraryConflictError: another library would be used in its place, and ``on_conflict`` is ``"raise"``.
        ValueError: ``on_conflict`` is not a policy, or ``min_version`` not a version.
    """
    if on_conflict not in ("raise", "warn", "accept"):
        raise ValueError(f"on_conflict must be 'raise', 'warn' or 'accept', not {on_conflict!r}")
    if min_version is not None and not min_version.partition(".")[0].isdecimal():
        raise ValueError(f"min_version must be numbers with dots, and is {min_version!r}")
    with _lock:
        record = _loaded.get(library)
        if record is None:
            record = _load(library, on_conflict, min_version)
    if min_version is not None:
        _check_version(library, record.__dict__["path"], record.version, min_version)
    if on_conflict != "accept" and (record.conflict or record.requires):
        for one, loaded in zip((*_requirements(library), library), (*record.requires, record), strict=True):
            if loaded.conflict is None:
                continue
            error = _conflict_error(one, loaded.__dict__["path"], loaded.version, loaded.conflict)
            if on_conflict == "raise":
                raise error
            import warnings

            warnings.warn(str(error), LibraryConflictWarning, stacklevel=2)
    return record


def _requirements(library: SharedLibrary) -> tuple[SharedLibrary, ...]:
    """What must be loaded before ``library``, in order, each once."""
    ordered: dict[SharedLibrary, None] = {}
    for required in library.requires:
        ordered.update(dict.fromkeys((*_requirements(required), required)))
    return tuple(ordered)


def _load(library: SharedLibrary, policy: Policy, min_version: str | None) -> LoadedLibrary:
    files = {one: _file_for(one, policy) for one in (*_requirements(library), library) if one not in _loaded}
    origin, file, _ = files[library]
    if min_version is not None and origin == "wheel":  # of any other file, only the loaded library knows
        _check_version(library, file, library.version, min_version)
    for one, choice in files.items():
        # A version_of may have loaded it meanwhile: the first record is the one that others have.
        _loaded.setdefault(one, _open(one, *choice))
    return _loaded[library]


def _file_for(library: SharedLibrary, policy: Policy) -> tuple[Origin, str, ctypes.CDLL | None]:
    """Choose the file, and look at it: its origin, what to hand to ``dlopen``, and the library if it is loaded already.

    A conflict that can be foreseen is raised here under the policy ``"raise"``, before a second copy is loaded.
    """
    if not library.suits:
        raise _unsuited(library)
    origin, file = _choose(library)
    fits = True
    if os.path.isabs(file):
        file = _unpacked(file)
        fits = _fits(library, file)
    mine = _platform.find(file)
    if policy == "raise":
        conflict = _rival(library, mine, _platform.find(library.soname))
        if conflict is None and not fits:
            conflict = Conflict(path=None, version=None)
        if conflict is not None:
            version = (mine and _version(library, mine)) or _shipped_version(library, origin)
            raise _conflict_error(library, file, version, conflict)
    return origin, file, mine


def _unsuited(library: SharedLibrary) -> SharedLibraryError:
    if library.systems and sys.platform not in library.systems:
        problem = f"the library is for {' and '.join(library.systems)}, and this system is {sys.platform}"
        cause = "its provider builds it for these alone"
    else:
        problem = f"the library is for {library.implementation}, and this interpreter is {sys.implementation.name}"
        cause = "it calls functions of the interpreter, which others do not have"
    cure = f"do without {library.name} here, as its provider says"
    return LibraryLoadError(library.name, problem, cause=cause, cure=cure)


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


def _open(library: SharedLibrary, origin: Origin, file: str, mine: ctypes.CDLL | None) -> LoadedLibrary:
    cdll = _dlopen(library, file)
    return LoadedLibrary(
        name=library.name,
        path=_platform.path_of(cdll),
        soname=library.soname,
        version=_version(library, cdll) or _shipped_version(library, origin),
        handle=_handle(cdll),
        origin=origin if mine is None else "already loaded",
        conflict=_conflict(library, cdll, file),
        requires=tuple(_loaded[one] for one in _requirements(library)),
    )


def _dlopen(library: SharedLibrary, file: str) -> ctypes.CDLL:
    try:
        cdll = _platform.open(file)
    except OSError as error:
        raise _refused(library, file, str(error)) from error
    _kept.append(cdll)
    return cdll


def _handle(cdll: ctypes.CDLL) -> int:
    """What ``dlopen`` returned: CPython has the number itself, PyPy an object that converts to it."""
    return int(cdll._handle)


def _conflict(library: SharedLibrary, cdll: ctypes.CDLL, file: str) -> Conflict | None:
    """None where ``DT_NEEDED <soname>`` would now bind to ``cdll``; handles are equal exactly then."""
    winner = _platform.find(library.soname)
    if winner is None and os.path.exists(file + _SHIM):
        _dlopen(library, file + _SHIM)
        winner = _platform.find(library.soname)
    if winner is None:
        return Conflict(path=None, version=None)
    return _rival(library, cdll, winner)


# musl knows a library by name only when a search has found it, and never by DT_SONAME. So a provider for musl has a
# library without code beside its own: DT_NEEDED the SONAME, RPATH $ORIGIN. Opening it is the search.
_SHIM = ".shim"


def _rival(library: SharedLibrary, mine: ctypes.CDLL | None, winner: ctypes.CDLL | None) -> Conflict | None:
    """Who would be used in place of ``mine`` (None: it is not loaded), by the SONAME or from the global scope."""
    if winner is not None and (mine is None or _handle(winner) != _handle(mine)):
        return Conflict(_platform.path_of(winner), _version(library, winner))
    for symbol in library.symbols:
        path = _platform.global_owner(symbol)
        if path is not None and (mine is None or path != _platform.path_of(mine)):
            other = _platform.find(path)  # None for the program itself
            return Conflict(path, _version(library, other) if other else None, symbol)
    return None


# -- versions --------------------------------------------------------------------------------------------------------


def _shipped_version(library: SharedLibrary, origin: Origin) -> str:
    return library.version if origin == "wheel" else "unknown"


def _version(library: SharedLibrary, cdll: ctypes.CDLL) -> str | None:
    if library.version_of is None:
        return None
    try:
        return library.version_of(cdll)
    except AttributeError:  # a foreign library of the same SONAME need not have the function
        return None


def _check_version(library: SharedLibrary, file: str, version: str, min_version: str) -> None:
    if _numbers(version) >= _numbers(min_version):
        return
    if _is_switched(library):
        cause, cure = f"{library.switch} chose this file", f"correct or unset {library.switch}"
    else:
        cause = f"the installed {library.distribution} is too old"
        cure = f"pip install --upgrade {library.distribution}"
    raise LibraryVersionError(
        library.name,
        f"version {version} is not enough: {min_version} or later is needed",
        tried=(f"{file}: version {version}",),
        cause=cause,
        cure=cure,
    )


def _numbers(version: str) -> list[int]:
    """The numbers that a version begins with, without zeros at the end: ``1.2.0`` is ``1.2``, ``unknown`` is none."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


# -- what is said when it fails --------------------------------------------------------------------------------------

_MISSING = "a library that it needs is missing", "install what has the library named above, or the provider again"
_OLDER = "it needs a function that no library has: another library is older than it expects", None
_NOEXEC = (
    "its file system is mounted noexec, or a security module forbids running code from it",
    "install into a file system that allows it; for a provider in a zip archive, set TMPDIR to a folder of one",
)
# words of a dynamic loader: the cause, and the cure where it is not the file's own. The first that fits counts.
_REFUSALS = {
    "undefined symbol": _OLDER,  # glibc
    "symbol not found": _OLDER,  # musl
    "failed to map segment": _NOEXEC,  # glibc
    "Operation not permitted": _NOEXEC,  # musl
    "' not found (required by": (
        "it is built for a newer C library than this system's",
        "install a build for this system: an older version of the distribution, or one from source",
    ),
    "cannot open shared object file": _MISSING,  # glibc
    "Error loading shared library": _MISSING,  # musl
    "Library not loaded": _MISSING,  # macOS
    "or one of its dependencies": _MISSING,  # Windows
    "": ("it is a program and not a library, or a library that it needs cannot be used", None),
}


def _refused(library: SharedLibrary, file: str, words: str) -> SharedLibraryError:
    if not os.path.isabs(file):
        return LibraryNotFoundError(
            library.name,
            f"the system has no {file} that can be loaded",
            tried=(f"{file}: {words}",),
            cause=f"{library.switch} is 'system', and the system's loader does not find or accept the library",
            cure=f"install the system's package, or unset {library.switch} to use {library.distribution}'s",
        )
    cause, cure = next(known for fragment, known in _REFUSALS.items() if fragment in words)
    return LibraryLoadError(
        library.name,
        "the dynamic loader refuses the file",
        tried=(f"{file}: {words}",),
        cause=cause,
        cure=cure or _cure(library),
    )


def _conflict_error(library: SharedLibrary, file: str, version: str, conflict: Conflict) -> LibraryConflictError:
    if conflict.path is None:
        if _fits(library, file):
            cause = "this system knows a library by name only where it found it by a search, and the provider has no "
            cause += f"{library.soname}{_SHIM} to make it search (musl; see the documentation of providers)"
        else:
            cause = f"the file's DT_SONAME is not {library.soname}, so no DT_NEEDED can resolve to it"
        return LibraryConflictError(
            library.name,
            f"{file} does not answer to the SONAME {library.soname}",
            tried=(f"dlopen({library.soname!r}, RTLD_NOLOAD): not loaded",),
            cause=cause,
            cure=_cure(library),
        )
    there = f"{conflict.path} (version {conflict.version or 'unknown'})"
    if conflict.symbol is not None:
        problem = f"{there} has {conflict.symbol} in the global scope, which comes before {file} (version {version})"
        tried = f"dlsym(RTLD_DEFAULT, {conflict.symbol!r}): {conflict.path}"
        cause = "that copy was loaded with RTLD_GLOBAL, by LD_PRELOAD, or is the program itself; native code calls it"
        # The global scope comes first however early ours is loaded.
        cure = "have that copy loaded without RTLD_GLOBAL; who calls by the handle alone can accept the conflict"
    else:
        problem = f"the SONAME {library.soname} resolves to {there}, not to {file} (version {version})"
        tried = f"dlopen({library.soname!r}, RTLD_NOLOAD): {conflict.path}"
        cause = "that copy was loaded first, by another package, LD_PRELOAD or LD_LIBRARY_PATH; native code uses it"
        cure = f"load {library.name} before what brings that copy, or set {library.switch}={conflict.path} to share it"
    return LibraryConflictError(
        library.name,
        problem,
        tried=(tried,),
        cause=cause,
        cure=cure,
    )


def _cure(library: SharedLibrary) -> str:
    if _is_switched(library):
        return f"correct or unset {library.switch}"
    return f"pip install --force-reinstall {library.distribution}"


def _is_switched(library: SharedLibrary) -> bool:
    return os.environ.get(library.switch, "wheel") != "wheel"


# -- the file, before the dynamic loader sees it ---------------------------------------------------------------------


class _Unfit(Exception):  # noqa: N818 - it becomes a SharedLibraryError, and never leaves this file
    """A file cannot work: the problem in a line, the reason in the system's words or ours, the likely cause."""

    def __init__(self, problem: str, words: str, cause: str) -> None:
        super().__init__(problem)
        self.problem, self.words, self.cause = problem, words, cause


def _fits(library: SharedLibrary, file: str) -> bool:
    """True where the file has the SONAME promised. One that cannot work is refused in words.

    ``dlopen`` of a truncated file does not fail: it dies of SIGBUS.
    """
    kind: type[SharedLibraryError] = LibraryLoadError
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # reading from a pipe or a device might never end
            raise _Unfit("the file is not a shared library", "not a regular file", "something else has its place")
        with open(file, "rb", buffering=0) as stream:
            return _platform.has_name(stream, library.soname)
    except FileNotFoundError as error:
        kind = LibraryNotFoundError
        cause = "the installation is incomplete, or it was removed"
        unfit = _Unfit("the file does not exist", str(error.strerror), cause)
    except OSError as error:
        unfit = _Unfit("the file cannot be read", str(error.strerror), "its permissions, or those of its folder")
    except (ValueError, OverflowError, struct.error) as error:
        unfit = _Unfit("the file is damaged", f"its ELF header is wrong ({error})", "parts were overwritten")
    except _Unfit as error:
        unfit = error
    raise kind(library.name, unfit.problem, tried=(f"{file}: {unfit.words}",), cause=unfit.cause, cure=_cure(library))


def _unpacked(file: str) -> str:
    """``file``; or a copy of it where it is in a zip archive, since nothing can be loaded from within one.

    The copy is kept until this process ends.
    """
    if file in _copies or (archive := _archive_of(file)) is None:
        return _copies.get(file, file)
    from zipimport import zipimporter

    try:
        importer = zipimporter(archive)
        contents = {file: importer.get_data(file)}
    except (ImportError, OSError):  # not a zip archive, or without this file: the search for the file says so
        return file
    try:  # noqa: SIM105 - contextlib is slow to import
        contents[file + _SHIM] = importer.get_data(file + _SHIM)
    except OSError:
        pass  # it is for musl alone
    import atexit
    import tempfile

    folder = tempfile.mkdtemp(prefix="sharedlib-")
    atexit.register(_remove, folder, os.getpid())
    for name, data in contents.items():
        with open(os.path.join(folder, os.path.basename(name)), "wb") as stream:
            stream.write(data)
    _copies[file] = os.path.join(folder, os.path.basename(file))
    return _copies[file]


def _archive_of(file: str) -> str | None:
    folder, inside = os.path.split(file)
    while inside and not os.path.exists(folder):  # a drive of Windows need not exist, and has no parent
        folder, inside = os.path.split(folder)
    return folder if os.path.isfile(folder) else None


def _remove(folder: str, owner: int) -> None:
    import shutil

    if os.getpid() == owner:  # a child of fork() also ends, and the parent has its files
        shutil.rmtree(folder, ignore_errors=True)  # Windows removes no DLL that is loaded


# -- ELF (gABI, chapters 4 and 5): what the loader and the doctor ask of a file --------------------------------------

# e_machine: enough to name what people mix up.
_MACHINES = {
    3: "x86", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv",
    258: "loongarch",
}  # fmt: skip
_HEADER_SIZE = 64  # of a 64-bit file; a 32-bit one has 52 bytes, and code after them
_PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 1, 5, 14, 15, 29
_NAME_SIZE = 4096  # bytes read for a name; no path is longer


class ElfFile:
    """The header, the segments and the dynamic section of an ELF file, of either word size and byte order.

    Where the file contradicts itself, ``struct.error`` or ``ValueError`` is raised.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = self._at(0, _HEADER_SIZE)
        self.is_elf = self.head[:4] == b"\x7fELF"
        self.is_64 = self.head[4:5] == b"\2"
        self.order = "<" if self.head[5:6] == b"\1" else ">"

    @property
    def architecture(self) -> str:
        """Machine, word size and byte order."""
        (machine,) = struct.unpack_from(self.order + "H", self.head, 18)
        order = "little" if self.order == "<" else "big"
        return f"{_MACHINES.get(machine, f'machine {machine}')} ({32 * self.head[4]}-bit, {order}-endian)"

    def is_whole(self, size: int) -> bool:
        """True where a file of ``size`` bytes has all that is read of it here, and all that would be mapped."""
        if len(self.head) < _HEADER_SIZE:
            return False
        offset, entry, count = self._segment_table()
        if offset + entry * count > size:
            return False
        return all(
            p_offset + p_filesz <= size
            for p_type, p_offset, _, p_filesz in self.segments()
            if p_type in (_PT_LOAD, PT_DYNAMIC)
        )

    def segments(self) -> list[tuple[int, int, int, int]]:
        """``p_type, p_offset, p_vaddr, p_filesz`` of each program header."""
        offset, entry, count = self._segment_table()
        layout = struct.Struct(self.order + ("I4xQQ8xQ" if self.is_64 else "III4xI"))
        table = self._at(offset, entry * count)
        return [layout.unpack_from(table, entry * number) for number in range(count)]

    def names(self, *tags: int) -> list[str]:
        """The strings that the dynamic section has under these tags, such as ``DT_NEEDED``, in the file's order."""
        entries = self._dynamic()
        strings = next((self._offset(value) for tag, value in entries if tag == DT_STRTAB), 0)
        return [self._string(strings + value) for tag, value in entries if tag in tags]

    def _segment_table(self) -> tuple[int, int, int]:
        (offset,) = struct.unpack_from(self.order + ("Q" if self.is_64 else "I"), self.head, 32 if self.is_64 else 28)
        entry, count = struct.unpack_from(self.order + "HH", self.head, 54 if self.is_64 else 42)
        return offset, entry, count

    def _dynamic(self) -> list[tuple[int, int]]:
        layout = struct.Struct(self.order + ("qQ" if self.is_64 else "iI"))
        for p_type, p_offset, _, p_filesz in self.segments():
            if p_type == PT_DYNAMIC:
                table = self._at(p_offset, p_filesz)
                return list(layout.iter_unpack(table[: len(table) // layout.size * layout.size]))
        return []

    def _offset(self, address: int) -> int:
        for p_type, p_offset, p_vaddr, p_filesz in self.segments():
            if p_type == _PT_LOAD and p_vaddr <= address < p_vaddr + p_filesz:
                return p_offset + address - p_vaddr
        raise ValueError(f"no segment holds the address {address:#x}")

    def _string(self, offset: int) -> str:
        return os.fsdecode(self._at(offset, _NAME_SIZE).partition(b"\0")[0])

    def _at(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(size)


# -- the systems: what differs between them, and nothing else --------------------------------------------------------


class _LinkMap(ctypes.Structure):
    """The public head of ``struct link_map`` (<link.h>)."""

    _fields_ = [("l_addr", ctypes.c_size_t), ("l_name", ctypes.c_char_p)]


class _DlInfo(ctypes.Structure):
    """``Dl_info`` (<dlfcn.h>)."""

    _fields_ = [
        ("dli_fname", ctypes.c_char_p), ("dli_fbase", ctypes.c_void_p),
        ("dli_sname", ctypes.c_char_p), ("dli_saddr", ctypes.c_void_p),
    ]  # fmt: skip


_RTLD_DI_LINKMAP = 2  # <dlfcn.h>: the same on every architecture, with glibc and with musl


class _Elf:
    """Linux, with glibc or musl."""

    def file_name(self, soname: str) -> str:
        """What the file of a library is called whose SONAME this is on Linux."""
        return soname

    def recorded_name(self, soname: str) -> str:
        """What whoever links such a library records of it."""
        return self.file_name(soname)

    def has_name(self, stream: BinaryIO, soname: str) -> bool:
        """True where the file calls itself ``soname``; :class:`_Unfit` where it cannot work."""
        file = ElfFile(stream)
        if not file.is_elf:
            raise _Unfit("the file is not a shared library", "no ELF header", "it is empty or was overwritten")
        size = os.fstat(stream.fileno()).st_size
        if not file.is_whole(size):
            words = f"{size} bytes, and its segments need more"
            raise _Unfit("the file is truncated", words, "a copy or an installation was cut short")
        with open("/proc/self/exe", "rb", buffering=0) as program:
            mine = ElfFile(program).architecture
        if file.architecture != mine:
            cause = f"this interpreter is built for {mine}"
            raise _Unfit(f"the file is built for {file.architecture}", "wrong architecture", cause)
        if not any(p_type == PT_DYNAMIC for p_type, *_ in file.segments()):
            raise _Unfit("the file is not a shared library", "no dynamic section", "it is a static program")
        return file.names(DT_SONAME) == [soname]

    def open(self, file: str) -> ctypes.CDLL:
        """Load a file by its absolute path, or a name by the system's search; ``OSError`` with the system's words."""
        return ctypes.CDLL(file, mode=os.RTLD_NOW | os.RTLD_LOCAL)

    def find(self, name: str) -> ctypes.CDLL | None:
        """The library that a path or a name means, if it is in the process already; loads nothing."""
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NOLOAD)
        except OSError:
            return None

    def path_of(self, cdll: ctypes.CDLL) -> str:
        """The file behind a handle, as the dynamic loader knows it."""
        dlinfo = ctypes.CDLL(None).dlinfo
        dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(_LinkMap))]
        link_map = ctypes.POINTER(_LinkMap)()
        if dlinfo(_handle(cdll), _RTLD_DI_LINKMAP, ctypes.byref(link_map)) != 0:
            raise OSError(f"dlinfo fails for {cdll._name}")
        # Absolute, also where LD_LIBRARY_PATH or another caller's dlopen was not.
        return os.path.abspath(os.fsdecode(link_map.contents.l_name))

    def global_owner(self, symbol: str) -> str | None:
        """The file whose ``symbol`` is in the global scope of the process, which is searched before any DT_NEEDED."""
        process = ctypes.CDLL(None)
        try:
            address = ctypes.cast(process[symbol], ctypes.c_void_p)
        except AttributeError:
            return None
        info = _DlInfo()
        process.dladdr.argtypes = [ctypes.c_void_p, ctypes.POINTER(_DlInfo)]
        if process.dladdr(address, ctypes.byref(info)) == 0:
            raise OSError(f"dladdr fails for {symbol}")
        return os.path.abspath(os.fsdecode(info.dli_fname))


class _MachO(_Elf):
    """macOS, from its manual pages (dlopen(3), dyld(3), Mach-O Programming Topics); not run by this project's tests.

    A library is known by its install name, which consumers have copied into their load commands when they were
    linked: what is called SONAME here. Symbols are bound to a library by name (two-level namespace), so the global
    scope does not come first.
    """

    # Of 64-bit and 32-bit files in the order of the machine, and of files for several architectures (<mach-o/*.h>).
    _MAGIC = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")

    def file_name(self, soname: str) -> str:
        stem, _, version = soname.partition(".so")
        return f"{stem}{version}.dylib"

    def recorded_name(self, soname: str) -> str:
        return f"@rpath/{self.file_name(soname)}"

    def has_name(self, stream: BinaryIO, soname: str) -> bool:  # noqa: ARG002
        if stream.read(4) not in self._MAGIC:
            raise _Unfit("the file is not a shared library", "no Mach-O header", "it is empty or was overwritten")
        return True  # dyld checks the rest of a file itself, and the post-condition the name

    def path_of(self, cdll: ctypes.CDLL) -> str:
        dyld = ctypes.CDLL(None)
        dyld._dyld_get_image_name.restype = ctypes.c_char_p
        for index in range(dyld._dyld_image_count()):
            path = os.fsdecode(dyld._dyld_get_image_name(index))
            image = self.find(path)
            if image is not None and _handle(image) == _handle(cdll):
                return os.path.abspath(path)
        raise OSError(f"dyld has no image for {cdll._name}")

    def global_owner(self, symbol: str) -> str | None:  # noqa: ARG002
        return None


class _Windows(_Elf):
    """Windows, from its documentation ("Dynamic-link library search order"); run under Wine (docs/platforms.md).

    A module that is loaded already is known by its file name without the folder, and the first of a name wins: what
    is called SONAME here. There is no global scope.
    """

    def file_name(self, soname: str) -> str:
        stem, _, version = soname.partition(".so")  # with a hyphen, as MinGW's tools have it
        return f"{stem}{version.replace('.', '-', 1)}.dll"

    def has_name(self, stream: BinaryIO, soname: str) -> bool:  # noqa: ARG002
        if stream.read(2) != b"MZ":
            raise _Unfit("the file is not a shared library", "no PE header", "it is empty or was overwritten")
        return True  # Windows checks the rest of a file itself, and the post-condition the name

    def open(self, file: str) -> ctypes.CDLL:
        if os.path.isabs(file):
            # Consumers that are loaded later search this folder as long as the object lives.
            _kept.append(os.add_dll_directory(os.path.dirname(file)))  # type: ignore[attr-defined]
        return ctypes.CDLL(file)

    def find(self, name: str) -> ctypes.CDLL | None:
        module_handle = self._kernel32.GetModuleHandleW
        module_handle.argtypes, module_handle.restype = [ctypes.c_wchar_p], ctypes.c_void_p
        handle = module_handle(name)
        return ctypes.CDLL(name, handle=handle) if handle else None

    def path_of(self, cdll: ctypes.CDLL) -> str:
        file_name = self._kernel32.GetModuleFileNameW
        file_name.argtypes = [ctypes.c_void_p, ctypes.c_wchar_p, ctypes.c_uint32]
        path = ctypes.create_unicode_buffer(32768)  # the longest that there is
        if file_name(_handle(cdll), path, len(path)) == 0:
            raise OSError(f"GetModuleFileNameW fails for {cdll._name}")
        return path.value

    def global_owner(self, symbol: str) -> str | None:  # noqa: ARG002
        return None

    @property
    def _kernel32(self) -> Any:
        return ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]


_SYSTEMS = {"darwin": _MachO, "win32": _Windows}
_platform = _SYSTEMS.get(sys.platform, _Elf)()
