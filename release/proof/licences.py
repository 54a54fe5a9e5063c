"""Checks of what a wheel says of its parts: licences (PEP 639) and the bill of materials (PEP 770, CycloneDX 1.6)."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import ExpressionError, get_spdx_licensing
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from unidiff import PatchSet

from release.proof.expectations import C_RUNTIME, CXX_RUNTIME, LICENCES
from release.proof.outcome import NotApplicable
from release.proof.wheel import Wheel
from sharedlib_loader.build.targets import Libc
from vendor.lock import Upstream, read_lock

Component = dict[str, Any]


def bill(wheel: Wheel) -> Component:
    """The bill of materials as JSON has it; empty where it cannot be read, which the check of it says."""
    try:
        found = json.loads(wheel.files[_bill_path(wheel)])
    except (KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _bill_path(wheel: Wheel) -> str:
    return f"{wheel.info}/sboms/{wheel.distribution.name.replace('_', '-')}.cdx.json"


@lru_cache(maxsize=1)
def _lock() -> dict[str, Upstream]:
    return read_lock()


def upstreams(wheel: Wheel) -> list[Upstream]:
    return [_lock()[name] for name in wheel.distribution.sources]


def runtime(wheel: Wheel) -> dict[Libc, set[str]]:
    """What the compiler brings along into the files of a distribution, by C library."""
    return CXX_RUNTIME if wheel.distribution.cxx else C_RUNTIME


def expected_runtime(wheel: Wheel) -> set[str]:
    """What the compiler brings along into this wheel's files."""
    return runtime(wheel).get(wheel.target.libc, set()) if wheel.target else set()


def licences(wheel: Wheel, wrong: list[str]) -> str:
    """The text of each licence is in it, METADATA lists each, and the expression is of all that is inside."""
    folder = f"{wheel.info}/licenses/"
    have = {name.removeprefix(folder): data for name, data in wheel.files.items() if name.startswith(folder)}
    listed = wheel.metadata.get_all("License-File", [])
    wrong.extend(f"METADATA does not list the licence {name}" for name in sorted(set(have) - set(listed)))
    wrong.extend(f"METADATA lists a licence that is not in it: {name}" for name in sorted(set(listed) - set(have)))

    parts = {(one["name"], one.get("version", "")) for one in bill(wheel).get("components", [])}
    parts |= {(name, "") for name in expected_runtime(wheel)}
    expected = {"LICENSE": "MIT License"}
    for name, version in parts:
        if name not in LICENCES:
            wrong.append(f"no licence is known of {name}: add it to LICENCES")
            continue
        licence, line = LICENCES[name], ".".join(version.split(".")[:2])
        expected |= {file.format(line=line): licence.words for file in licence.files}
    wrong.extend(f"the text of a licence is missing: {name}" for name in sorted(set(expected) - set(have)))
    wrong.extend(f"a licence of nothing that is in it: {name}" for name in sorted(set(have) - set(expected)))
    for name, words in expected.items():
        if name in have and words.encode() not in have[name]:
            wrong.append(f"{name} is not the text of the licence: {words!r} is not in it")
    for upstream in upstreams(wheel):
        for name, digest in upstream.staged_files.items():
            path = f"upstream/{upstream.name}/{name}"
            if path in have and hashlib.sha256(have[path]).hexdigest() != digest:
                wrong.append(f"{path} is not upstream's, by the lock")
    return f"{_expression(wheel, wrong)}; {len(have)} texts"


def _expression(wheel: Wheel, wrong: list[str]) -> str:
    """METADATA's License-Expression: this project's licence, and those of all parts of any wheel of the release.

    Of any, since the package index shows one expression for a release.
    """
    parts = {_project(upstream) for upstream in upstreams(wheel)}
    parts |= set[str]().union(*(() if wheel.distribution.pure else runtime(wheel).values()))
    whole = " AND ".join(f"({one})" for one in [wheel.distribution.license, *sorted(_licences_of(parts))])
    stated, spdx = str(wheel.metadata.get("License-Expression", "")), get_spdx_licensing()
    try:
        if canonicalize_license_expression(stated) != stated or not spdx.is_equivalent(
            spdx.parse(stated), spdx.parse(whole)
        ):
            wrong.append(f"License-Expression is {stated!r}; what is inside is of {spdx.parse(whole).simplify()}")
    except (InvalidLicenseExpression, ExpressionError) as error:
        wrong.append(f"License-Expression {stated!r} is no SPDX expression: {error}")
    for part in bill(wheel).get("components", []):
        expected = [{"expression": one} for one in _licences_of({part["name"]})]
        if part.get("licenses") != expected:
            wrong.append(f"the licence of {part['name']} is {part.get('licenses')}, not {expected}")
    return stated


def _licences_of(parts: set[str]) -> set[str]:
    return {LICENCES[part].expression for part in parts if part in LICENCES}


def sbom(wheel: Wheel, wrong: list[str]) -> str:
    """One bill of materials, valid by the schema of CycloneDX 1.6, without any property that it does not know."""
    if wheel.distribution.pure:
        raise NotApplicable("nothing is compiled in")
    path = _bill_path(wheel)
    wrong.extend(f"another bill of materials: {name}" for name in wheel.files if "/sboms/" in name and name != path)
    if path not in wheel.files:
        wrong.append(f"there is no {path}")
    elif fault := _invalid(wheel.files[path].decode()):
        wrong.append(f"{path} is not valid: {fault}")
    return f"CycloneDX {bill(wheel).get('specVersion')}"


def pedigree(wheel: Wheel, wrong: list[str]) -> str:
    """The bill is of this distribution: each source as the lock has it, with each patch, and what is linked in."""
    if wheel.distribution.pure:
        raise NotApplicable("nothing is compiled in")
    whole = bill(wheel)
    _root(wheel, whole, wrong)
    parts = whole.get("components", [])
    sources = [part for part in parts if "pedigree" in part]
    for upstream in upstreams(wheel):
        found = [part for part in sources if (part["name"], part["version"]) == (_project(upstream), upstream.version)]
        if len(found) != 1:
            wrong.append(f"{upstream.name} {upstream.version} is in it {len(found)} times")
            continue
        _source(upstream, found[0], wrong)
    if len(sources) != len(upstreams(wheel)):
        wrong.append(f"{len(sources)} sources are in it, not {len(upstreams(wheel))}")
    linked = {part["name"] for part in parts if "pedigree" not in part}
    if linked != expected_runtime(wheel):
        wrong.append(f"linked in are {sorted(linked)}, not {sorted(expected_runtime(wheel))}")
    if "serialNumber" in whole or "timestamp" in whole.get("metadata", {}):
        wrong.append("it has a number or a time of its own, so that no two builds are the same")
    patches = sum(len(part["pedigree"].get("patches", [])) for part in sources)
    return f"{len(parts)} components, {patches} changes"


@lru_cache(maxsize=4)  # it takes seconds, and the wheels of a distribution have the same
def _invalid(text: str) -> str | None:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return str(fault).splitlines()[0] if fault else None


def _root(wheel: Wheel, whole: Component, wrong: list[str]) -> None:
    root = whole.get("metadata", {}).get("component", {})
    name = str(wheel.metadata.get("Name"))
    if root.get("purl") != f"pkg:pypi/{name}@{wheel.version}":
        wrong.append(f"it is of {root.get('purl')}, not of {name} {wheel.version}")
    if root.get("licenses") != [{"expression": wheel.metadata.get("License-Expression")}]:
        wrong.append(f"its licence is {root.get('licenses')}, not METADATA's")
    depends = {one["ref"]: one.get("dependsOn", []) for one in whole.get("dependencies", [])}
    if depends.get(root.get("bom-ref")) != [part.get("bom-ref") for part in whole.get("components", [])]:
        wrong.append("the distribution does not depend on each of its parts")


def _project(upstream: Upstream) -> str:
    """What the project of a source is called: the lock's name without the one of several versions."""
    return upstream.name.removesuffix(f"-{'.'.join(upstream.version.split('.')[:2])}")


def _source(upstream: Upstream, part: Component, wrong: list[str]) -> None:
    """One source is the lock's: its licence, its archive, its files as compiled, and each change in its order."""
    archive = upstream.archive
    taken_from = [(f"pkg:pypi/{archive.name}@{archive.version}", [_sha256(archive.sha256)])]
    patches = part["pedigree"].get("patches", [])
    compared: dict[str, tuple[Any, Any]] = {
        "purl": (part["purl"], f"pkg:generic/{_project(upstream)}@{upstream.version}"),
        "licence": (part["licenses"], [{"expression": upstream.license}]),
        "archive": ([(one["purl"], one["hashes"]) for one in part["pedigree"]["ancestors"]], taken_from),
        "files": (
            {one["name"]: one["hashes"] for one in part.get("components", [])},
            {name: [_sha256(digest)] for name, digest in upstream.staged_files.items()},
        ),
        "patches": (
            [(one["diff"]["url"], [issue["id"] for issue in one.get("resolves", [])])
             for one in patches if "url" in one["diff"]],
            [(f"{one.name}#sha256={one.sha256}", [one.name[:14].upper()] if one.name.startswith("cve-") else [])
             for one in upstream.patches],
        ),
        "insertions": (
            [_insertion(one) for one in patches if "url" not in one["diff"]],
            [(one.file, one.after, one.text, [one.why]) for one in upstream.insertions],
        ),
    }  # fmt: skip
    for what, (stated, expected) in compared.items():
        if stated != expected:
            wrong.append(f"{upstream.name}: its {what} in the bill of materials are not the lock's")


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _insertion(change: Component) -> tuple[str, int, str, list[str]]:
    """File, line, text and reasons of lines that were put in."""
    [file] = PatchSet(change["diff"]["text"]["content"])
    [hunk] = file
    return file.path, hunk.source_start, "".join(line.value for line in hunk), [
        issue["description"] for issue in change["resolves"]
    ]  # fmt: skip
