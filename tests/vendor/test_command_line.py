"""The command line, run as a user runs it, in a copy of the tool with a lock and a cache of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from tests.vendor.carrier import Carrier
from vendor.lock import ROOT, Insertion, Upstream, sha256

Run = Callable[..., subprocess.CompletedProcess[str]]


def table(upstream: Upstream, stage: str) -> dict[str, Any]:
    """The upstream as the lock has it."""
    entry: dict[str, Any] = {
        "version": upstream.version,
        "license": upstream.license,
        "archive": upstream.archive.name,
        "root": upstream.root,
        "stage": stage,
        "patch_root": "patches",
        "strip": upstream.strip,
        "patches": [{"name": patch.name, "sha256": patch.sha256} for patch in upstream.patches],
        "files": upstream.files,
    }
    if upstream.insertions:
        entry["insertions"] = [asdict(insertion) for insertion in upstream.insertions]
    return entry | {"patched": upstream.patched} if upstream.patched else entry


@pytest.fixture
def root(carrier: Carrier, tmp_path: Path) -> Path:
    """A copy of the tool; its lock has the patched upstream ``small``, and ``plain``, which has no patches."""
    root = tmp_path / "project"
    shutil.copytree(
        ROOT / "vendor", root / "vendor", ignore=shutil.ignore_patterns("cache", "lock.toml", "__pycache__")
    )
    shutil.copytree(carrier.cache, root / "vendor" / "cache")
    write_lock(root, carrier.upstream)
    return root


def write_lock(root: Path, upstream: Upstream) -> None:
    """Write the lock of the two upstreams, with a comment at its head."""
    archive = {"version": upstream.archive.version, "sha256": upstream.archive.sha256}
    header = {"include/hello.h": upstream.files["include/hello.h"]}
    plain = replace(upstream, files=header, patches=(), insertions=(), patched={})
    upstreams = {"small": table(upstream, "staged/small"), "plain": table(plain, "staged/plain")}
    text = tomlkit.dumps({"archives": {"small": archive}, "upstreams": upstreams})
    (root / "vendor" / "lock.toml").write_text(f"# kept\n{text}", encoding="utf-8")


@pytest.fixture
def vendor(root: Path) -> Run:
    """``python -m vendor`` in that copy."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VENDOR_CACHE", "PYTHONPATH")}

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "vendor", *arguments],
            cwd=root,
            env={**kept, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_fetch_stages_everything(vendor: Run, root: Path, carrier: Carrier) -> None:
    """``fetch`` stages each upstream where the lock says, and reports it in a line."""
    done = vendor("fetch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "small 1.0: 2 files, 2 patches, 0 insertions -> staged/small",
        "plain 1.0: 1 files, 0 patches, 0 insertions -> staged/plain",
    ]
    assert (root / "staged" / "small" / "hello.c").read_bytes() == carrier.final["hello.c"]
    assert sorted(os.listdir(root / "staged" / "plain")) == ["PROVENANCE.json", "include"]


def test_fetch_again_changes_nothing(vendor: Run, root: Path) -> None:
    """A second ``fetch`` says that all is there, and needs not even the archive."""
    vendor("fetch")
    shutil.rmtree(root / "vendor" / "cache")
    done = vendor("fetch")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["small 1.0: already staged", "plain 1.0: already staged"]


def test_fetch_of_one_upstream(vendor: Run, root: Path) -> None:
    """Named upstreams are fetched, the others are left alone."""
    done = vendor("fetch", "plain")
    assert done.stdout.splitlines() == ["plain 1.0: 1 files, 0 patches, 0 insertions -> staged/plain"]
    assert os.listdir(root / "staged") == ["plain"]


def test_cache_elsewhere(vendor: Run, root: Path) -> None:
    """``VENDOR_CACHE`` names another folder for the archives."""
    (root / "vendor" / "cache").rename(root / "elsewhere")
    assert vendor("fetch", VENDOR_CACHE=str(root / "elsewhere")).returncode == 0


def test_fetch_without_network(vendor: Run, root: Path) -> None:
    """Without archive and network, ``fetch`` fails with the cure and no traceback, and leaves no half tree."""
    shutil.rmtree(root / "vendor" / "cache")
    with socket.socket() as nobody:  # bound and not listening: connections to it are refused
        nobody.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = vendor("fetch", https_proxy=proxy, HTTPS_PROXY=proxy, no_proxy="", NO_PROXY="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("vendor: the download of small-1.0.tar.gz failed or was cut short: ")
    assert done.stderr.splitlines()[-1].startswith("  cure: run again with a network, or put small-1.0.tar.gz (sha256 ")
    assert "Traceback" not in done.stderr
    assert not (root / "staged").exists()


def test_fetch_with_a_series_that_does_not_apply(vendor: Run, root: Path, carrier: Carrier) -> None:
    """A series in the wrong order stops ``fetch`` with status 1, the patch's name and the cure."""
    write_lock(root, replace(carrier.upstream, patches=carrier.upstream.patches[::-1]))
    done = vendor("fetch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "vendor: second.patch does not apply to hello.c at line 18 (no offset or fuzz is accepted)",
        "  cure: check the order of the series in the lock, and that the patches are those of this version",
    ]
    assert not (root / "staged").exists()


def test_fetch_repairs(vendor: Run, root: Path, carrier: Carrier) -> None:
    """``fetch`` replaces a tree that was changed, and only that one."""
    vendor("fetch")
    (root / "staged" / "small" / "hello.c").write_bytes(b"tampered\n")
    assert [line.partition(":")[2][1:8] for line in vendor("fetch").stdout.splitlines()] == ["2 files", "already"]
    assert (root / "staged" / "small" / "hello.c").read_bytes() == carrier.final["hello.c"]


def test_verify(vendor: Run) -> None:
    """``verify`` succeeds where everything is staged as the lock says."""
    vendor("fetch")
    done = vendor("verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 upstreams staged as the lock says\n", "")


def test_verify_before_fetch(vendor: Run) -> None:
    """``verify`` fails where nothing is staged, and says how to get it."""
    done = vendor("verify")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["small: not staged", "plain: not staged", "cure: python -m vendor fetch"]


def test_verify_after_tampering(vendor: Run, root: Path) -> None:
    """``verify`` names each file that differs, even one whose name looks like markup, and the cure."""
    vendor("fetch")
    (root / "staged" / "small" / "hello.c").write_bytes(b"tampered\n")
    (root / "staged" / "small" / "[red]:x:.c").touch()
    done = vendor("verify")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "small: [red]:x:.c: not in the lock",
        "small: hello.c: changed",
        "cure: python -m vendor fetch",
    ]
    assert vendor("verify", "plain").returncode == 0


def test_status(vendor: Run, root: Path) -> None:
    """``status`` shows a table of what is pinned, cached and staged, and does not fail where something is missing."""
    vendor("fetch", "small")
    done = vendor("status")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"\w+", done.stdout.splitlines()[1]) == [
        *("upstream", "version", "licence", "files", "patches", "insertions", "archive", "cached", "staged")
    ]
    assert rows == [
        ["small", "1.0", "MIT", "2", "2", "0", "small-1.0.tar.gz", "yes", "yes"],
        ["plain", "1.0", "MIT", "1", "0", "0", "small-1.0.tar.gz", "yes", "not staged"],
    ]
    shutil.rmtree(root / "vendor" / "cache")
    assert [line.split("│")[8].strip() for line in vendor("status").stdout.splitlines() if "│" in line] == ["no", "no"]


def test_unknown_upstream(vendor: Run) -> None:
    """An upstream that the lock does not have is an error of usage, and the message lists those it has."""
    done = vendor("fetch", "small", "nosuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("error: no such upstream: nosuch; the lock has small, plain\n")


@pytest.mark.parametrize("arguments", [["destroy"], []])
def test_unknown_command(vendor: Run, arguments: list[str]) -> None:
    """A command that does not exist, or none, is an error of usage."""
    done = vendor(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m vendor ")


def test_help_explains_every_command(vendor: Run) -> None:
    """``--help`` has a line for each command."""
    done = vendor("--help")
    assert done.returncode == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[-4:]] == ["fetch", "verify", "status", "pin"]


def test_broken_lock(vendor: Run, root: Path) -> None:
    """A lock that cannot be read ends with status 1, its path and the command that restores it."""
    (root / "vendor" / "lock.toml").write_text("[archives")
    done = vendor("verify")
    assert done.returncode == 1
    assert done.stderr.startswith(f"vendor: {root / 'vendor' / 'lock.toml'} cannot be read: ")
    assert done.stderr.endswith(f"\n  cure: restore it: git checkout -- {root / 'vendor' / 'lock.toml'}\n")


def test_pin_fills_in_every_hash(vendor: Run, root: Path) -> None:
    """From a lock whose hashes are blank or stale, ``pin`` makes the one that ``fetch`` accepts, comments included."""
    lock = root / "vendor" / "lock.toml"
    right = lock.read_text(encoding="utf-8")
    blank = re.sub('"[0-9a-f]{64}"', '""', right)
    assert blank.count('""') == 7
    lock.write_text(blank, encoding="utf-8")
    done = vendor("pin")
    assert (done.returncode, done.stdout) == (0, "pinned: review the diff of vendor/lock.toml\n")
    assert lock.read_text(encoding="utf-8") == right
    assert vendor("fetch").returncode == 0


def test_pin_finds_which_files_are_patched(vendor: Run, root: Path, carrier: Carrier) -> None:
    """``pin`` adds the hash after patching of a file for which the lock has none yet."""
    write_lock(root, replace(carrier.upstream, patched={}))
    assert vendor("fetch").returncode == 1
    assert vendor("pin").returncode == 0
    assert vendor("fetch").returncode == 0
    assert (root / "staged" / "small" / "hello.c").read_bytes() == carrier.final["hello.c"]


OURS = Insertion("hello.c", 5, "\tours\n", "A reason.")


def test_pin_counts_insertions_in(vendor: Run, root: Path, carrier: Carrier) -> None:
    """``pin`` gives the hash of the file with the insertions, keeps them as they are, and ``fetch`` puts them in."""
    write_lock(root, replace(carrier.upstream, insertions=(OURS,)))
    lock = root / "vendor" / "lock.toml"
    written = lock.read_text(encoding="utf-8")
    assert vendor("fetch").returncode == 1
    assert vendor("pin").returncode == 0
    staged = carrier.final["hello.c"].replace(b"line 4\n", b"line 4\n\tours\n")
    pinned = written.replace(sha256(carrier.final["hello.c"]), sha256(staged))
    assert lock.read_text(encoding="utf-8") == pinned != written
    assert vendor("fetch").stdout.startswith("small 1.0: 2 files, 2 patches, 1 insertions -> ")
    assert (root / "staged" / "small" / "hello.c").read_bytes() == staged
    assert vendor("verify").returncode == 0
    assert re.search(r"small .* 2 +│ 2 +│ 1 +│ small-1\.0\.tar\.gz │ yes +│ yes ", vendor("status").stdout)


def test_pin_of_a_file_with_insertions_alone(vendor: Run, root: Path, carrier: Carrier) -> None:
    """A file that no patch changes, and an insertion does, gets a hash among the patched."""
    write_lock(root, replace(carrier.upstream, insertions=(replace(OURS, file="include/hello.h", after=1),)))
    assert vendor("pin").returncode == 0
    assert vendor("fetch", "small").returncode == 0
    assert (root / "staged" / "small" / "include" / "hello.h").read_bytes() == b"int hello(void);\n\tours\n"


def test_verify_after_a_change_of_insertions(vendor: Run, root: Path, carrier: Carrier) -> None:
    """A tree that was staged before an insertion was added is no longer what the lock says."""
    vendor("fetch")
    write_lock(root, replace(carrier.upstream, insertions=(OURS,)))
    vendor("pin")
    assert vendor("verify").stdout.splitlines()[:-1] == [
        "small: hello.c: changed",
        "small: PROVENANCE.json: missing, or written for another lock",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"after": 32}, "hello.c has 31 whole lines, and the lock inserts behind line 32"),
        ({"text": "ours"}, "small, insertion 1: text is not a string of whole lines"),
    ],
)
def test_pin_of_a_bad_insertion(
    vendor: Run, root: Path, carrier: Carrier, change: dict[str, Any], problem: str
) -> None:
    """An insertion that is malformed or has no place is named by ``pin``, and the lock stays as it was."""
    write_lock(root, replace(carrier.upstream, insertions=(replace(OURS, **change),)))
    lock = root / "vendor" / "lock.toml"
    before = lock.read_text(encoding="utf-8")
    done = vendor("pin")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"vendor: {problem}"
    assert lock.read_text(encoding="utf-8") == before


def test_pin_of_a_file_that_the_archive_lacks(vendor: Run, root: Path) -> None:
    """A misspelt path in the lock is named by ``pin``, and the lock stays as it was."""
    lock = root / "vendor" / "lock.toml"
    spoilt = lock.read_text(encoding="utf-8").replace('"hello.c"', '"helo.c"')
    lock.write_text(spoilt, encoding="utf-8")
    done = vendor("pin")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "vendor: small-1.0.tar.gz has no file small-1.0/src/helo.c",
        "  cure: correct the path in the lock",
    ]
    assert lock.read_text(encoding="utf-8") == spoilt


@pytest.mark.parametrize("kept", [0, 100], ids=["empty", "truncated"])
def test_pin_of_a_broken_archive(vendor: Run, root: Path, kept: int) -> None:
    """An archive that cannot be unpacked is named by ``pin``, with the cure, and is not pinned."""
    lock, archive = root / "vendor" / "lock.toml", root / "vendor" / "cache" / "small-1.0.tar.gz"
    before = lock.read_text(encoding="utf-8")
    archive.write_bytes(archive.read_bytes()[:kept])
    done = vendor("pin")
    assert done.returncode == 1
    assert done.stderr.startswith(f"vendor: {archive} cannot be read: ")
    assert done.stderr.endswith(f"\n  cure: delete {archive} and run again\n")
    assert lock.read_text(encoding="utf-8") == before
