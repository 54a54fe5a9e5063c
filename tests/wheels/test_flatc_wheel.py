"""The compiler's wheel as it is shipped: a static executable in the scripts folder, with every licence in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.utils import parse_wheel_filename

from sharedlib_loader.build import TARGETS, host
from tests.wheels.elf import Elf

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "flatc_wheel-25.12.19.data/scripts/flatc"

Files = Callable[[str], dict[str, bytes]]


@pytest.fixture
def flatc(files: Files) -> Elf:
    return Elf(files("flatc_wheel")[SCRIPT])


def test_the_tag_has_both_c_libraries(built: Callable[[str], Path]) -> None:
    """A static executable runs with glibc and with musl, and the tag says so."""
    _, _, _, tags = parse_wheel_filename(built("flatc_wheel-*.whl").name)
    row = host("musl")
    assert row is not None
    expected = {
        tag for target in TARGETS if (target.machine, target.format) == (row.machine, row.format) for tag in target.tags
    }
    assert {(tag.interpreter, tag.abi, tag.platform) for tag in tags} == {("py3", "none", tag) for tag in expected}
    assert {tag.split("_")[0] for tag in expected} == {"manylinux2014", "manylinux", "musllinux"}


def test_it_is_static(flatc: Elf) -> None:
    """It needs no library and no dynamic loader."""
    assert not flatc.needed
    assert "PT_INTERP" not in flatc.segments


def test_it_is_hardened(flatc: Elf) -> None:
    """Position-independent, with RELRO, BIND_NOW and no executable stack."""
    assert flatc.file["e_type"] == "ET_DYN"
    assert {"DF_BIND_NOW", "DF_1_NOW", "DF_1_PIE"} <= flatc.flags
    assert "PT_GNU_RELRO" in flatc.segments
    assert flatc.segments["PT_GNU_STACK"] & 1 == 0


def test_it_is_executable(built: Callable[[str], Path]) -> None:
    """The file in the wheel has the execute bits, for installers that keep them."""
    with ZipFile(built("flatc_wheel-*.whl")) as wheel:
        assert wheel.getinfo(SCRIPT).external_attr >> 16 & 0o777 == 0o755


def test_no_path_of_the_build_is_in_it(files: Files) -> None:
    """Neither the source folder nor the home folder of whoever built it is in the file."""
    for path in {ROOT, Path.home(), Path(sys.prefix)} - {Path("/")}:
        assert str(path).encode() not in files("flatc_wheel")[SCRIPT]


def test_every_licence_is_in_it(files: Files) -> None:
    """FlatBuffers' licence, ours, and those of what is linked in; each named in the metadata."""
    info = "flatc_wheel-25.12.19.dist-info/"
    wheel = files("flatc_wheel")
    licences = {name[len(info + "licenses/") :] for name in wheel if name.startswith(info + "licenses/")}
    assert licences == {
        "LICENSE",
        "upstream/flatbuffers/LICENSE",
        "libcxx/LICENSE.TXT",
        "libcxxabi/LICENSE.TXT",
        "libunwind/LICENSE.TXT",
        "musl/COPYRIGHT",
        "zig/LICENSE",
    }
    lines = wheel[info + "METADATA"].decode().splitlines()
    assert {line.removeprefix("License-File: ") for line in lines if line.startswith("License-File: ")} == licences


def test_the_reflection_schema_is_in_it(files: Files) -> None:
    """The schema is package data, byte for byte upstream's."""
    upstream = ROOT / "flatc_wheel" / "upstream" / "flatbuffers" / "reflection" / "reflection.fbs"
    assert files("flatc_wheel")["flatc_wheel/schema/reflection.fbs"] == upstream.read_bytes()
