"""Fresh environments, outside the source tree, with the built wheels in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def uv(*arguments: str | Path) -> None:
    done = subprocess.run([BIN / "uv", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make an environment with the given distributions from dist/, and give its interpreter."""

    def new_environment(*distributions: str) -> Path:
        folder = tmp_path_factory.mktemp("environment") / "with spaces and ü"
        uv("venv", "--quiet", "--python", sys.executable, folder)
        python = folder / "bin" / "python"
        sources = ["--no-index", "--find-links", ROOT / "dist", "--find-links", ROOT / "build" / "wheelhouse"]
        if distributions:
            # No cache: uv's takes a wheel that was built again, of the same version, for the one that it knows.
            uv("pip", "install", "--quiet", "--no-cache", "--only-binary", ":all:", "--python", python, *sources,
               *distributions)  # fmt: skip
        return python

    return new_environment


@pytest.fixture(scope="session")
def installed(new_environment: Callable[..., Path]) -> Path:
    """The interpreter of an environment with all four wheels."""
    return new_environment("sharedlib-loader", "liblmdb-wheel", "lmdb-bindings", "flatc-wheel")


@pytest.fixture(scope="session")
def files(built: Callable[[str], Path]) -> Callable[[str], dict[str, bytes]]:
    """The files of a built wheel, by the start of its name."""

    def files(name: str) -> dict[str, bytes]:
        with ZipFile(built(f"{name}-*.whl")) as wheel:
            return {info.filename: wheel.read(info) for info in wheel.infolist()}

    return files


@pytest.fixture(scope="session")
def proved(built: Callable[[str], Path]) -> Callable[..., None]:
    """Do checks of the proof on a built wheel, by the start of its name; each must pass."""
    pytest.importorskip("lief", reason="lief, which reads native files, has no wheel for this interpreter")
    from release.proof.checks import prove
    from release.proof.wheel import Wheel

    def proved(name: str, *checks: str) -> None:
        for outcome in prove(Wheel.read(built(f"{name}-*.whl")), checks):
            assert (outcome.check, outcome.verdict, outcome.wrong) == (outcome.check, "passed", ())

    return proved
