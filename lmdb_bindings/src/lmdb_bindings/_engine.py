"""The two LMDB engines, loaded through the loader and called through CFFI. Which one to use: see ``_selection``."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock

import liblmdb_wheel
from lmdb_bindings._abi import ffi
from sharedlib_loader import SharedLibraryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sharedlib_loader import LoadedLibrary


class Engine:
    """A loaded engine.

    Attributes:
        name: ``"0.9"`` or ``"1.0"``.
        lib: its functions, by CFFI.
        library: what the loader says of it: path, version, origin, conflict.
        bulk: the bulk library over this engine; None where it is not used. It is loaded when it is first asked for,
            and so is what follows: a program that opens no environment starts the faster.
        records: the module that handles many records at once, by the bulk library or without.
        fast: its functions for the short way on CPython, see ``_fast``; None where that is not used.
    """

    __slots__ = ("bulk", "fast", "lib", "library", "name", "records")

    bulk: Any
    fast: Any
    records: Any

    def __init__(self, name: str, lib: Any, library: LoadedLibrary) -> None:
        self.name = name
        self.lib = lib
        self.library = library

    def __getattr__(self, name: str) -> Any:
        if name not in ("bulk", "fast", "records"):
            raise AttributeError(f"an engine has no attribute {name!r}")
        from lmdb_bindings import _fast

        self.bulk, self.records = _bulk(self.lib)
        self.fast = _fast.functions(self.lib)
        return getattr(self, name)

    def version(self) -> tuple[int, int, int]:
        """The version that the library gives of itself."""
        parts = [ffi.new("int *") for _ in range(3)]
        self.lib.mdb_version(*parts)
        major, minor, patch = (part[0] for part in parts)
        return major, minor, patch


_lock = allocate_lock()
_engines: dict[str, Engine] = {}


def engine(name: str) -> Engine:
    """An engine by name, loaded at its first use.

    Raises:
        ValueError: there is no such engine.
        ImportError: one of ``SWITCHES`` has another value than 0 or 1.
        sharedlib_loader.SharedLibraryError: it cannot be loaded.
    """
    found = _engines.get(name)
    if found is None:
        # A copy of the same SONAME that was first in the process does not disturb the binding, which calls through
        # its own handle; the record keeps the conflict for whoever asks.
        for switch in SWITCHES:
            is_wanted(switch)  # a wrong value is said at once, and not when the library is loaded
        library = liblmdb_wheel.load(name, on_conflict="accept")
        with _lock:
            # From the handle, not the path: no second look-up, and the end of `lib` does not close the library.
            lib = ffi.dlopen(ffi.cast("void *", library.handle))
            # cffi makes a function and its types at the first use, and aborts the process where it comes back in the
            # middle of that: by a finalizer, which the collector calls.
            for function in [name for name in dir(lib) if name.startswith("mdb_")]:
                _touch(lib, function)
            found = _engines.setdefault(name, Engine(name, lib, library))
    return found


def _touch(lib: Any, function: str) -> None:
    try:  # noqa: SIM105 (contextlib would cost the import milliseconds)
        getattr(lib, function)
    except (AttributeError, ffi.error):
        pass  # of 1.0


SWITCHES = {"LMDB_BINDINGS_BULK": "the bulk library", "LMDB_BINDINGS_FAST": "the fast library"}
"""What can be done without, with the same results."""


def is_wanted(switch: str) -> bool:
    """Whether a switch lets its library be used.

    Raises:
        ImportError: it has another value than 0 or 1.
    """
    wanted = os.environ.get(switch, "1")
    if wanted not in ("0", "1"):
        raise ImportError(f"{switch} is {wanted!r}: set it to 0 (do without {SWITCHES[switch]}) or 1, or unset it")
    return wanted == "1"


def _bulk(lib: Any) -> tuple[Any, Any]:
    """The bulk library over an engine, or None, and the module that handles many records at once."""
    library = load_bulk()
    if isinstance(library, str):
        from lmdb_bindings import _plain

        return None, _plain
    from lmdb_bindings import _bulk

    return _bulk.Library(ffi.dlopen(ffi.cast("void *", library.handle)), lib, _exchange()), _bulk


def load_bulk() -> LoadedLibrary | str:
    """The bulk library; else why there is none.

    Raises:
        ImportError: its switch has another value than 0 or 1.
    """
    if not is_wanted("LMDB_BINDINGS_BULK"):
        return "LMDB_BINDINGS_BULK=0"
    try:
        return liblmdb_wheel.load_bulk(on_conflict="accept")
    except SharedLibraryError as problem:  # a distributor may leave it out: nothing is lost but speed
        return str(problem)


def _exchange() -> Any:
    """How records cross the fastest: CPython makes objects by its own C code, PyPy by loops that it compiles."""
    if sys.implementation.name == "cpython":
        from lmdb_bindings import _streams

        return _streams
    from lmdb_bindings import _columns

    return _columns


def loaded_libraries() -> dict[str, LoadedLibrary]:
    """The engines in use so far: engine name to the loader's record."""
    return {name: used.library for name, used in sorted(_engines.items())}


def strerror(code: int) -> str:
    """LMDB's text for a return code, or the system's for an errno."""
    # Engine 0.9 does not know the codes that came with 1.0, and only 1.0 returns them.
    name = "1.0" if -30780 < code < -30700 else "0.9"
    text: bytes = ffi.string(engine(name).lib.mdb_strerror(code))
    return text.decode("utf-8", "replace").rstrip()  # Windows' own end with the end of a line


def file_handle(descriptor: int) -> int:
    """What LMDB takes for an open file: its descriptor, or on Windows the handle behind that.

    Handles fit an ``int`` there also where pointers are larger ("Interprocess Communication Between 32-bit and 64-bit
    Applications").
    """
    if sys.platform != "win32":
        return descriptor
    import msvcrt

    return msvcrt.get_osfhandle(descriptor)
