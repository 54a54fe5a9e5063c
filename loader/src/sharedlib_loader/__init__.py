"""Share one native library between wheels: providers ship it, consumers load it, nobody bundles a copy.

>>> import sharedlib_loader
>>> record = sharedlib_loader.load(sharedlib_loader.find("lmdb-0.9"))
>>> record.soname, record.conflict
('liblmdb.so.0', None)

Importing this package, or a provider, loads nothing; :func:`load` does.
"""

from sharedlib_loader._discovery import ProviderBrokenError, ProviderNotFoundError, find, providers
from sharedlib_loader._runtime import (
    Conflict,
    LibraryConflictError,
    LibraryConflictWarning,
    LibraryLoadError,
    LibraryNotFoundError,
    LibraryVersionError,
    LoadedLibrary,
    Origin,
    Policy,
    SharedLibrary,
    SharedLibraryError,
    SwitchError,
    load,
    native_names,
)

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
    "ProviderBrokenError",
    "ProviderNotFoundError",
    "SharedLibrary",
    "SharedLibraryError",
    "SwitchError",
    "find",
    "load",
    "native_names",
    "providers",
]

__version__ = "0.1.0"
