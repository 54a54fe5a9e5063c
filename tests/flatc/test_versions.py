"""One version of executable, runtime and reflection schema, and a clear error where that does not hold."""

from __future__ import annotations

import hashlib
import re
from importlib.metadata import requires
from pathlib import Path

import flatbuffers
import pytest

from flatc_wheel import (
    VersionMismatchError,
    __version__,
    _executable,
    _versions,
    check_versions,
    compile,
    reflection_schema,
)
from vendor.lock import read_lock

VERSION = _versions.VERSION
CURE = f"  cure: pip install --force-reinstall flatc-wheel=={VERSION} flatbuffers=={VERSION}"


def mismatch(*, flatc: str = VERSION, runtime: str = VERSION, schema: str = VERSION) -> str:
    """The pattern of the message that names each part in its version."""
    parts = f"\n  flatc: {flatc}\n  flatbuffers (Python): {runtime}\n  reflection.fbs: {schema}\n"
    return f"^{re.escape(f'flatc-wheel {VERSION} needs all of its parts in that version{parts}{CURE}')}$"


def test_check_passes() -> None:
    """What is installed together is of one version, which is returned."""
    assert check_versions() == VERSION == __version__


def test_version_is_the_lock_s() -> None:
    """The version in the code is that of the vendored sources."""
    assert read_lock()["flatbuffers"].version == VERSION


def test_reflection_hash_is_the_lock_s() -> None:
    """The hash in the code is that of the vendored schema, and of the installed one."""
    assert read_lock()["flatbuffers"].files["reflection/reflection.fbs"] == _versions.REFLECTION_SHA256
    assert hashlib.sha256(reflection_schema().read_bytes()).hexdigest() == _versions.REFLECTION_SHA256


def test_runtime_is_required_in_that_version() -> None:
    """The distribution depends on exactly the runtime that it checks for."""
    assert f"flatbuffers=={VERSION}" in (requires("flatc-wheel") or [])


def test_runtime_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Python runtime is named beside the parts that are right."""
    monkeypatch.setattr(flatbuffers, "__version__", "24.3.25")
    with pytest.raises(VersionMismatchError, match=mismatch(runtime="24.3.25")) as caught:
        check_versions()
    assert isinstance(caught.value, ImportError)


def test_schema_of_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reflection schema that differs in anything is named with its hash, since it has no version."""
    other = tmp_path / "reflection.fbs"
    other.write_bytes(reflection_schema().read_bytes() + b"\n")
    monkeypatch.setattr(_versions, "reflection_schema", lambda: other)
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(VersionMismatchError, match=mismatch(schema=f"unknown (sha256 {digest})")):
        check_versions()


@pytest.mark.usefixtures("nothing_cached")
def test_executable_of_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another executable in the place of this one is named by the version that it gives of itself."""
    other = tmp_path / "flatc"
    other.write_text("#!/bin/sh\necho flatc version 23.5.26\n")
    other.chmod(0o755)
    monkeypatch.setattr(_executable, "flatc_path", lambda: other)
    with pytest.raises(VersionMismatchError, match=mismatch(flatc="23.5.26")):
        check_versions()


def test_same_but_wrong_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executable and a runtime that agree with each other, and not with the distribution, are refused as well."""
    monkeypatch.setattr(flatbuffers, "__version__", "24.3.25")
    monkeypatch.setattr(_versions, "version", lambda: "24.3.25")
    with pytest.raises(VersionMismatchError, match=mismatch(flatc="24.3.25", runtime="24.3.25")):
        check_versions()


def test_reflection_schema_compiles(tmp_path: Path) -> None:
    """The reflection schema is installed, and is one that this flatc accepts."""
    assert reflection_schema().is_absolute()
    assert compile(reflection_schema(), "bfbs", tmp_path) == [tmp_path / "reflection.bfbs"]
    assert (tmp_path / "reflection.bfbs").read_bytes()[4:8] == b"BFBS"
