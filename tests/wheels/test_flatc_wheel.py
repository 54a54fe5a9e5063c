"""The compiler's wheel as it is shipped: a static executable in the scripts folder, libflatdb, and every licence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Files = Callable[[str], dict[str, bytes]]
Proved = Callable[..., None]


def test_one_executable_is_for_both_c_libraries(proved: Proved) -> None:
    """It needs no library and no dynamic loader; what is tagged for one of them is libflatdb beside it."""
    proved("flatc_wheel", "tag", "contents", "needed", "auditwheel")


def test_it_is_hardened(proved: Proved) -> None:
    """Position-independent, with RELRO, BIND_NOW, a stack protector and no executable stack."""
    proved("flatc_wheel", "hardening", "stack protector")


def test_it_is_executable(proved: Proved) -> None:
    """The file in the wheel has the execute bits, for installers that keep them."""
    proved("flatc_wheel", "modes")


def test_every_licence_is_in_it(proved: Proved) -> None:
    """FlatBuffers' licence, ours, and those of what is linked in; each named in the metadata."""
    proved("flatc_wheel", "licences", "pedigree")


def test_the_reflection_schema_is_in_it(files: Files) -> None:
    """The schema is package data, byte for byte upstream's."""
    upstream = ROOT / "flatc_wheel" / "upstream" / "flatbuffers" / "reflection" / "reflection.fbs"
    assert files("flatc_wheel")["flatc_wheel/schema/reflection.fbs"] == upstream.read_bytes()
