"""The wheels of one platform, and folders to run them from: as an installer lays them out, for any platform."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.utils import parse_wheel_filename

from release.runs.trees import CACHE, ROOT, UnavailableError

DISTRIBUTIONS = ("sharedlib-loader", "liblmdb-wheel", "lmdb-bindings", "flatc-wheel")


def of_platform(dist: Path, platform: str) -> dict[str, Path]:
    """The wheels in a folder for a platform, pure ones included: distribution to file.

    Args:
        dist: the folder.
        platform: a name of the table of targets, such as ``manylinux_aarch64``.
    """
    kind, _, machine = platform.partition("_")
    found = {}
    for file in sorted(dist.glob("*.whl")):
        name, _, _, tags = parse_wheel_filename(file.name)
        platforms = {tag.platform for tag in tags}
        if platforms == {"any"} or any(one.startswith(kind) and one.endswith(f"_{machine}") for one in platforms):
            found[str(name)] = file
    return found


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def install(files: Sequence[Path], folder: Path) -> None:
    """Install wheels, for whatever platform they are, and nothing that they depend on, into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    tags = {tag.platform for file in files for tag in parse_wheel_filename(file.name)[3]} - {"any"}
    platforms = [f"--platform={tag}" for tag in sorted(tags)]
    _pip("--no-index", *platforms, f"--target={folder}", *map(str, files))


def needed(names: Sequence[str], platform: str, tag: str) -> Path:
    """A folder with other projects' distributions, as ``constraints.txt`` pins them, for a platform and interpreter.

    Args:
        names: the distributions.
        platform: as above.
        tag: of the interpreter, such as ``cp313``.

    Raises:
        UnavailableError: one has no wheel for it, or cannot be fetched.
    """
    folder = CACHE / "needed" / f"{platform}-{tag}-{'-'.join(names)}"
    pins = CACHE / "needed" / f"{'-'.join(names)}.txt"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        pins.write_text(_pins(names))
        kind, _, machine = platform.partition("_")
        versions = {"manylinux": ("manylinux_2_17", "manylinux2014"), "musllinux": ("musllinux_1_2", "musllinux_1_1")}
        platforms = [f"--platform={version}_{machine}" for version in versions.get(kind, (kind,))]
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        version = f"--python-version={tag[2:].rstrip('t')}"
        abis = [f"--abi={abi}" for abi in (tag, "abi3", "none")]
        _pip("--require-hashes", "--implementation=cp", version, *abis, *platforms, f"--target={part}", "-r", str(pins))
        part.rename(folder)
    return folder


def _pins(names: Sequence[str]) -> str:
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text())
    return "\n".join(block for block in blocks if re.split(r"[=\s]", block)[0] in names) + "\n"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
               "--no-deps", "--only-binary=:all:", *arguments]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError((done.stderr.strip().splitlines() or ["pip did not say why"])[-1])
