"""Patches: applied exactly where they say, to exactly the lines they show, or not at all.

``patch(1)`` would search for a place that fits (an offset) or ignore context that does not (fuzz). A hardening
patch that lands in another place may compile and protect nothing, so neither is accepted here.
"""

from __future__ import annotations

from unidiff import PatchedFile, PatchSet, UnidiffParseError

from vendor.errors import VendorError

_CURE = "check the order of the series in the lock, and that the patches are those of this version"


def apply(name: str, text: bytes, files: dict[str, bytes], *, strip: int) -> None:
    """Apply one patch to ``files`` in place.

    Args:
        name: the patch's file name, for messages.
        text: the patch, a unified diff.
        files: path to content; the patch may change these and no others.
        strip: leading components to remove from the paths in the patch, as in ``patch -p``.

    Raises:
        VendorError: the patch is malformed, names another file, or does not fit line for line.
    """
    try:
        changes = PatchSet.from_string(text.decode("utf-8"))
    except (UnidiffParseError, UnicodeDecodeError) as error:
        raise VendorError(f"{name} is not a unified diff: {error}", cure=_CURE) from error
    if not changes:
        raise VendorError(f"{name} changes nothing: it was cut short or is not a patch", cure=_CURE)
    for change in changes:
        path = "/".join(change.source_file.split("/")[strip:])
        if path not in files:
            raise VendorError(f"{name} changes {change.source_file}, which is not among the files taken", cure=_CURE)
        files[path] = _patched(name, path, files[path], change)


def _patched(name: str, path: str, content: bytes, change: PatchedFile) -> bytes:
    old = content.decode("utf-8").splitlines(keepends=True)
    new: list[str] = []
    done = 0
    for hunk in change:
        start = hunk.source_start - 1
        expected = [line.value for line in hunk if not line.is_added]
        if start < done or old[start : start + len(expected)] != expected:
            raise VendorError(f"{name} does not apply to {path} at line {hunk.source_start} (no offset or fuzz is accepted)", cure=_CURE)
        new += old[done:start]
        new += [line.value for line in hunk if not line.is_removed]
        done = start + len(expected)
    return "".join(new + old[done:]).encode("utf-8")
