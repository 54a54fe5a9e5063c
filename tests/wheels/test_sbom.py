"""The bills of materials in the native wheels: valid, whole, and true to the lock of third-party sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.licenses import canonicalize_license_expression

from sharedlib_loader.build import sbom
from vendor.lock import read_lock

pytestmark = pytest.mark.requirement("R30")

Files = Callable[[str], dict[str, bytes]]
Proved = Callable[..., None]

# The wheel: its metadata's folder, the bill's file, and what is compiled into it, by the lock's names.
WHEELS = {
    "liblmdb_wheel": (
        "liblmdb_wheel-0.1.0.dist-info",
        "liblmdb-wheel.cdx.json",
        ("lmdb-0.9", "lmdb-1.0", "monocypher"),
    ),
    "flatc_wheel": ("flatc_wheel-25.12.19.dist-info", "flatc-wheel.cdx.json", ("flatbuffers",)),
}


@pytest.fixture(params=WHEELS)
def wheel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def text(wheel: str, files: Files) -> str:
    folder, name, _ = WHEELS[wheel]
    inside = files(wheel)
    assert [path for path in inside if "/sboms/" in path] == [f"{folder}/sboms/{name}"]
    return inside[f"{folder}/sboms/{name}"].decode()


@pytest.fixture
def bill(text: str) -> dict[str, Any]:
    return json.loads(text)


def test_it_is_valid(wheel: str, text: str, proved: Proved) -> None:
    """The schema of CycloneDX 1.6 accepts it, without any property that it does not know."""
    proved(wheel, "bill of materials")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"purl"', '"pearl"', 1)) is not None


def test_it_is_true_to_the_lock(wheel: str, proved: Proved) -> None:
    """Each source by version, licence, archive and files, each patch in its order, each insertion, all that is linked."""
    proved(wheel, "pedigree")


def test_the_lock_has_what_the_bills_are_about(wheel: str) -> None:
    """LMDB has patches, and CVEs among them, and insertions: the tests of them compare something."""
    upstreams = [read_lock()[name] for name in WHEELS[wheel][2]]
    assert {upstream.stage.parents[1].name for upstream in upstreams} == {wheel}
    if wheel == "liblmdb_wheel":
        assert any("cve-" in patch.name for upstream in upstreams for patch in upstream.patches)
        assert any(upstream.insertions for upstream in upstreams)


def test_what_is_linked_in_has_a_version(bill: dict[str, Any]) -> None:
    """Not of the lock, but of the compiler: its own version is theirs."""
    linked = [one["version"] for one in bill["components"] if "pedigree" not in one]
    assert linked
    assert all(version.count(".") == 2 for version in linked)


def test_the_licences_are_spdx_and_the_wheels(bill: dict[str, Any]) -> None:
    """Each licence is an SPDX expression, and part of the distribution's own."""
    whole = bill["metadata"]["component"]["licenses"][0]["expression"]
    for one in bill["components"]:
        expression = one["licenses"][0]["expression"]
        assert canonicalize_license_expression(expression) == expression
        assert expression in whole


def test_a_wheel_without_third_party_sources() -> None:
    """The bill of a library of one's own, without a licence in its metadata, is valid too."""
    bill = sbom.bill({"name": "My.Library", "version": "1.0", "license": ""}, [], [])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/my-library@1.0"
    assert bill["components"] == []
