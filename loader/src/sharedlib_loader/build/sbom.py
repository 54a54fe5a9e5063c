"""The software bill of materials of a native wheel: CycloneDX 1.6 as JSON, for ``dist-info/sboms`` (PEP 770).

It says what the wheel was compiled from: each source by name, version, licence and hashes, with every patch and every
line of ours as its pedigree, and what the compiler linked in. Made of ``upstream/*/PROVENANCE.json`` alone and of the
distribution's metadata, so the same sources give the same bytes: no serial number, no time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sharedlib_loader.build.runtime_libraries import RuntimeLibrary


def write(
    path: Path, distribution: Mapping[str, str], sources: Iterable[Path], runtime: Iterable[RuntimeLibrary]
) -> None:
    """Write the bill of materials of a distribution.

    Args:
        path: the file to be; its folder is made.
        distribution: its ``name``, ``version`` and ``license``, an SPDX expression or empty.
        sources: the records of where its third-party sources come from, ``PROVENANCE.json`` each.
        runtime: what the compiler links into it.
    """
    records = [json.loads(source.read_text(encoding="utf-8")) for source in sorted(sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(bill(distribution, records, runtime), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def bill(
    distribution: Mapping[str, str], records: Iterable[Mapping[str, Any]], runtime: Iterable[RuntimeLibrary]
) -> dict[str, Any]:
    """The bill of materials as the object that JSON has."""
    name = re.sub(r"[-_.]+", "-", distribution["name"]).lower()
    root = _component("library", name, distribution["version"], distribution["license"], "pypi")
    parts = [*map(_source, records), *(_component("library", one.name, one.version, one.license) for one in runtime)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": root},
        "components": parts,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
    }


def _component(kind: str, name: str, version: str, license: str, registry: str = "generic") -> dict[str, Any]:
    purl = f"pkg:{registry}/{name}@{version}"
    found = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return {**found, "licenses": [{"expression": license}]} if license else found


def _source(record: Mapping[str, Any]) -> dict[str, Any]:
    """One upstream: the project it is of, the archive it was taken from, its files as compiled, what was changed."""
    # "lmdb-0.9" is the lock's name for the one of several versions of LMDB: the project has the name before it.
    project, _, line = record["name"].rpartition("-")
    name = project if project and record["version"].startswith(line) else record["name"]
    return {
        **_component("library", name, record["version"], record["license"]),
        "pedigree": _pedigree(record),
        "components": [
            {"type": "file", "name": path, "hashes": [_sha256(digest)]} for path, digest in record["files"].items()
        ],
    }


def _pedigree(record: Mapping[str, Any]) -> dict[str, Any]:
    archive = record["archive"]
    taken_from = {
        "type": "file",
        "name": archive["name"],
        "version": archive["version"],
        "purl": f"pkg:pypi/{archive['name']}@{archive['version']}",
        "hashes": [_sha256(archive["sha256"])],
        "description": "the archive that the sources and the patches are taken from",
    }
    changes = [*map(_patch, record["patches"]), *map(_insertion, record["insertions"])]
    if not changes:
        return {"ancestors": [taken_from]}
    notes = "In order. A URL is of a file of the archive, with its hash; a text is put in after all of these."
    return {"ancestors": [taken_from], "patches": changes, "notes": notes}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _patch(patch: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "unofficial", "diff": {"url": f"{patch['name']}#sha256={patch['sha256']}"}}
    if cves := re.findall(r"cve-\d{4}-\d{4,}", patch["name"]):
        found["resolves"] = [{"type": "security", "id": cve.upper()} for cve in cves]
    return found


def _insertion(insertion: Mapping[str, Any]) -> dict[str, Any]:
    """Lines of ours, as a diff of no context and the reason for them."""
    lines = insertion["text"].splitlines(keepends=True)
    after = insertion["after"]
    head = f"--- a/{insertion['file']}\n+++ b/{insertion['file']}\n@@ -{after},0 +{after + 1},{len(lines)} @@\n"
    kind = "enhancement" if insertion["why"].startswith("Speed:") else "defect"
    return {
        "type": "unofficial",
        "diff": {"text": {"contentType": "text/x-diff", "content": head + "".join(f"+{line}" for line in lines)}},
        "resolves": [{"type": kind, "description": insertion["why"]}],
    }
