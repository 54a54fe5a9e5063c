"""The bills of materials in the native wheels: valid, whole, and true to the lock of third-party sources."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.licenses import canonicalize_license_expression
from unidiff import PatchSet

from sharedlib_loader.build import sbom
from vendor.lock import Upstream, read_lock

pytestmark = pytest.mark.requirement("R30")

Files = Callable[[str], dict[str, bytes]]

# The wheel: its metadata's folder, the bill's file, and what is compiled into it, by the lock's names.
WHEELS = {
    "liblmdb_wheel": (
        "liblmdb_wheel-0.1.0.dist-info",
        "liblmdb-wheel.cdx.json",
        ("lmdb-0.9", "lmdb-1.0", "monocypher"),
    ),
    "flatc_wheel": ("flatc_wheel-25.12.19.dist-info", "flatc-wheel.cdx.json", ("flatbuffers",)),
}

# What is linked into flatc besides, which the compiler brings along.
RUNTIME = {"zig", "libcxx", "libcxxabi", "libunwind", "musl"}


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


def component(bill: dict[str, Any], upstream: Upstream) -> dict[str, Any]:
    [found] = [one for one in bill["components"] if one["version"] == upstream.version and "pedigree" in one]
    return found


def test_it_is_valid(text: str) -> None:
    """The schema of CycloneDX 1.6 accepts it, without any property that it does not know."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"purl"', '"pearl"', 1)) is not None  # it does look


def test_it_is_of_the_distribution(wheel: str, bill: dict[str, Any], files: Files) -> None:
    """The root is the wheel's own distribution, with the licence of all of it, and depends on each part."""
    metadata = files(wheel)[f"{WHEELS[wheel][0]}/METADATA"].decode()
    root = bill["metadata"]["component"]
    assert root["purl"] == f"pkg:pypi/{root['name']}@{root['version']}"
    for line in ("Name: " + root["name"], "Version: " + root["version"]):
        assert line in metadata.splitlines()
    assert f"License-Expression: {root['licenses'][0]['expression']}" in metadata.splitlines()
    assert bill["dependencies"][0] == {
        "ref": root["bom-ref"],
        "dependsOn": [one["bom-ref"] for one in bill["components"]],
    }


def test_each_source_is_in_it(wheel: str, bill: dict[str, Any]) -> None:
    """Each upstream by version, licence and archive, with the hash of each file as it was compiled."""
    for name in WHEELS[wheel][2]:
        upstream = read_lock()[name]
        found = component(bill, upstream)
        project = "lmdb" if name.startswith("lmdb") else name
        assert found["purl"] == f"pkg:generic/{project}@{upstream.version}"
        assert found["licenses"] == [{"expression": upstream.license}]
        [archive] = found["pedigree"]["ancestors"]
        assert archive["purl"] == f"pkg:pypi/{upstream.archive.name}@{upstream.archive.version}"
        assert archive["hashes"] == [{"alg": "SHA-256", "content": upstream.archive.sha256}]
        hashes = {one["name"]: one["hashes"] for one in found["components"]}
        assert hashes == {
            path: [{"alg": "SHA-256", "content": digest}] for path, digest in upstream.staged_files.items()
        }


def test_each_patch_is_in_it(wheel: str, bill: dict[str, Any]) -> None:
    """Each patch in its order by name and hash, those for a CVE with its number; then each insertion, as a diff."""
    for name in WHEELS[wheel][2]:
        upstream = read_lock()[name]
        patches = component(bill, upstream)["pedigree"].get("patches", [])
        taken = patches[: len(upstream.patches)]
        assert [one["diff"]["url"] for one in taken] == [f"{p.name}#sha256={p.sha256}" for p in upstream.patches]
        for one, patch in zip(taken, upstream.patches, strict=True):
            cves = [issue["id"] for issue in one.get("resolves", [])]
            assert cves == ([patch.name[:14].upper()] if patch.name.startswith("cve-") else [])
        for one, insertion in zip(patches[len(taken) :], upstream.insertions, strict=True):
            [file] = PatchSet(one["diff"]["text"]["content"])
            [hunk] = file
            assert (file.path, hunk.source_start, hunk.source_length) == (insertion.file, insertion.after, 0)
            assert "".join(line.value for line in hunk) == insertion.text
            assert [issue["description"] for issue in one["resolves"]] == [insertion.why]


def test_the_lock_has_what_the_bills_are_about(wheel: str) -> None:
    """LMDB has patches, and CVEs among them, and insertions: the tests of them compare something."""
    upstreams = [read_lock()[name] for name in WHEELS[wheel][2]]
    assert {upstream.stage.parents[1].name for upstream in upstreams} == {wheel}
    if wheel == "liblmdb_wheel":
        assert any("cve-" in patch.name for upstream in upstreams for patch in upstream.patches)
        assert any(upstream.insertions for upstream in upstreams)


def test_nothing_else_is_in_it(wheel: str, bill: dict[str, Any]) -> None:
    """The parts are the upstreams, and what the compiler linked in, each with a version."""
    linked = {one["name"]: one for one in bill["components"] if "pedigree" not in one}
    assert len(bill["components"]) == len(WHEELS[wheel][2]) + len(linked)
    assert set(linked) == (RUNTIME if wheel == "flatc_wheel" else {"zig"})
    assert all(one["version"].count(".") == 2 for one in linked.values())


def test_the_licences_are_spdx_and_the_wheels(bill: dict[str, Any]) -> None:
    """Each licence is an SPDX expression, and part of the distribution's own."""
    whole = bill["metadata"]["component"]["licenses"][0]["expression"]
    for one in bill["components"]:
        expression = one["licenses"][0]["expression"]
        assert canonicalize_license_expression(expression) == expression
        assert expression in whole


def test_the_clock_is_not_in_it(bill: dict[str, Any]) -> None:
    """Neither a time nor a random number, which would make each wheel another one."""
    assert "serialNumber" not in bill
    assert "timestamp" not in bill["metadata"]


def test_a_wheel_without_third_party_sources() -> None:
    """The bill of a library of one's own, without a licence in its metadata, is valid too."""
    bill = sbom.bill({"name": "My.Library", "version": "1.0", "license": ""}, [], [])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/my-library@1.0"
    assert bill["components"] == []
