"""Find providers by entry point, without importing them until one is asked for.

A provider announces each library in its ``pyproject.toml``::

    [project.entry-points."sharedlib_loader.providers"]
    "lmdb-0.9" = "liblmdb_wheel:LMDB_0_9"

where the object named is a :class:`~sharedlib_loader.SharedLibrary`.
"""

from __future__ import annotations

from sharedlib_loader._runtime import SharedLibrary, SharedLibraryError

TYPE_CHECKING = False  # see _runtime
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "sharedlib_loader.providers"


class ProviderNotFoundError(SharedLibraryError):
    """No installed distribution provides the library."""


class ProviderBrokenError(SharedLibraryError):
    """A distribution says that it provides the library, and its description cannot be imported."""


def providers() -> dict[str, EntryPoint]:
    """The announced libraries by name, as entry points; imports no provider."""
    from importlib.metadata import entry_points  # 18 ms, and who has a SharedLibrary need not look for one

    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def find(name: str) -> SharedLibrary:
    """The description of a provided library.

    Args:
        name: the library's name, such as ``"lmdb-0.9"``.

    Raises:
        ProviderNotFoundError: nobody provides it. Safe to treat as "not installed".
        ProviderBrokenError: somebody does, and fails, or two do; never to be treated as "not installed".
    """
    from importlib.metadata import entry_points

    known = providers()
    if name not in known:
        raise ProviderNotFoundError(
            name,
            "no installed distribution provides this library",
            tried=tuple(f"{entry.name}: {entry.value}" for entry in known.values()) or (f"entry points {GROUP}: none",),
            cause="the provider is not installed in this environment, or the name is misspelt",
            cure="install the provider with pip",
        )
    entry = known[name]
    claims = {other.value for other in entry_points(group=GROUP, name=name)}
    if len(claims) > 1:
        raise _broken(entry, f"several distributions provide it: {', '.join(sorted(claims))}")
    try:
        library = entry.load()
    except Exception as error:
        raise _broken(entry, f"importing {entry.value} fails: {type(error).__name__}: {error}") from error
    if not isinstance(library, SharedLibrary):
        raise _broken(entry, f"{entry.value} is a {type(library).__name__}, not a SharedLibrary")
    return library


def _broken(entry: EntryPoint, problem: str) -> ProviderBrokenError:
    distribution = entry.dist.name if entry.dist else "the provider"
    return ProviderBrokenError(
        entry.name,
        problem,
        tried=(f"{entry.name}: {entry.value}",),
        cause=f"{distribution} is installed and damaged, or one of its own dependencies is missing",
        cure=f"pip install --force-reinstall {distribution}",
    )
