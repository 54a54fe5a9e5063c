"""One version: of the executable, of the Python runtime, and of the reflection schema."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flatc_wheel._executable import version

VERSION = "25.12.19"
# reflection.fbs carries no version of its own; its hash is the one in vendor/lock.toml, and a test compares the two.
REFLECTION_SHA256 = "3b9319066a4a8e1839fe159a7f321099fff2a602bf8599705708d5f49ac66c04"


class VersionMismatchError(ImportError):
    """Parts of different FlatBuffers versions are installed together; the message names each and the cure."""


def reflection_schema() -> Path:
    """``reflection.fbs``, the schema of binary schemas (``.bfbs``), of this version."""
    return Path(__file__).resolve().parent / "schema" / "reflection.fbs"


def check_versions() -> str:
    """Verify that executable, Python runtime and reflection schema are of one version.

    Returns:
        That version.

    Raises:
        VersionMismatchError: they are not.
    """
    import flatbuffers

    digest = hashlib.sha256(reflection_schema().read_bytes()).hexdigest()
    found = {
        "flatc": version(),
        "flatbuffers (Python)": flatbuffers.__version__,
        "reflection.fbs": VERSION if digest == REFLECTION_SHA256 else f"unknown (sha256 {digest})",
    }
    if set(found.values()) != {VERSION}:
        parts = "".join(f"\n  {part}: {value}" for part, value in found.items())
        raise VersionMismatchError(
            f"flatc-wheel {VERSION} needs all of its parts in that version{parts}\n"
            f"  cure: pip install --force-reinstall flatc-wheel=={VERSION} flatbuffers=={VERSION}"
        )
    return VERSION
