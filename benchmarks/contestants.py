"""Who takes part: a table, and an environment for each below ``build/benchmarks``.

A contestant is an interpreter and a folder of packages on ``PYTHONPATH``. So all on one interpreter start equally, and
a PyPy needs no tool of its own for environments.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sharedlib_loader.build import host

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks"
REQUIREMENTS = HERE / "requirements.txt"
UV = str(Path(sys.executable).with_name("uv"))
OWN_WHEELS = ("lmdb-bindings", "liblmdb-wheel", "sharedlib-loader")


@dataclass(frozen=True)
class Contestant:
    """One column of the result.

    Attributes:
        name: in the result.
        interpreter: ``"CPython"``, ``"PyPy"`` or ``"C"``.
        package: the distribution to install; None for the C program.
        statement: binds ``lmdb``, and is what the import is measured by.
        imports: whether that is the statement its users write.
        switches: variables of its environment.
    """

    name: str
    interpreter: str
    package: str | None
    statement: str = "import lmdb"
    imports: bool = True
    switches: Mapping[str, str] = field(default_factory=dict)


OURS = Contestant("lmdb_bindings", "CPython", "lmdb-bindings", "import lmdb_bindings as lmdb")
PY_LMDB = Contestant("py-lmdb", "CPython", "lmdb")
ZLMDB = Contestant("zlmdb", "CPython", "zlmdb", "from zlmdb import lmdb")
# The same without built-in methods: what PyPy does, on CPython.
OURS_CFFI = Contestant(
    "lmdb_bindings by CFFI", "CPython", "lmdb-bindings", OURS.statement, imports=False,
    switches={"LMDB_BINDINGS_FAST": "0"},
)  # fmt: skip
LIMIT = Contestant("C", "C", None)
OURS_PYPY = Contestant("lmdb_bindings on PyPy", "PyPy", "lmdb-bindings", "import lmdb_bindings as lmdb")
# Its binding alone: of what the package needs besides, not all has wheels for PyPy. py-lmdb has none at all.
ZLMDB_PYPY = Contestant(
    "zlmdb on PyPy",
    "PyPy",
    "zlmdb",
    "import sys; from importlib.util import find_spec, module_from_spec; "
    "sys.modules['zlmdb'] = module_from_spec(find_spec('zlmdb')); import zlmdb._lmdb_vendor as lmdb",
    imports=False,
)
CONTESTANTS = (OURS, PY_LMDB, ZLMDB, LIMIT, OURS_CFFI, OURS_PYPY, ZLMDB_PYPY)


class UnavailableError(Exception):
    """A contestant cannot take part here; the text says why."""


@dataclass(frozen=True)
class Entrant:
    """A contestant that is installed: the command that its arguments follow, and the environment to run it in.

    Its version is its own and the interpreter's; the C program has none.
    """

    contestant: Contestant
    command: list[str]
    version: str
    environment: dict[str, str] = field(default_factory=dict)


def enter(contestant: Contestant, pypy: str | None, ours: Path | None) -> Entrant:
    """Install a contestant.

    Args:
        contestant: of the table.
        pypy: the PyPy to use; None where there is none.
        ours: a folder that has this binding and all that it needs, instead of the wheels in ``dist/``.

    Raises:
        UnavailableError: there is no such interpreter here, or no wheel for it.
    """
    if contestant.interpreter == "C":
        return Entrant(contestant, [str(compile_limit(ours))], "")
    on_pypy = contestant.interpreter == "PyPy"
    if on_pypy and pypy is None:
        raise UnavailableError("no PyPy here: --pypy names one")
    python = pypy if on_pypy and pypy else bare_cpython()
    packages = BUILD / contestant.name.replace(" ", "-")
    if contestant.package == "lmdb-bindings":
        # PyPy brings its own cffi, and another one on its path would hide it.
        packages = ours if ours and not on_pypy else install(packages, own_wheels(without_dependencies=on_pypy))
        if ours and on_pypy:
            packages = without_cffi(ours, packages)
    else:
        install(packages, peer_on_pypy(python, contestant) if on_pypy else pinned(str(contestant.package)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(packages), **contestant.switches}
    try:
        interpreter = output(python, "-c", "import platform as p; print(p.python_implementation(), p.python_version())")
        # Importing also writes the bytecode.
        version = output(python, "-c", f"{contestant.statement}; print(lmdb.__version__)", environment=environment)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(error.stderr.strip().splitlines()[-1]) from error
    if contestant.package != "lmdb-bindings":
        version = pin(str(contestant.package)).partition("==")[2]  # zlmdb's binding says of which py-lmdb it is a copy
    return Entrant(contestant, [python], f"{version} on {interpreter}", environment)


def install(folder: Path, command: list[str]) -> Path:
    """Fill a folder with packages; ``command`` lacks only the folder.

    Raises:
        UnavailableError: they cannot be had.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        output(*command, "--target", str(folder))
    except subprocess.CalledProcessError as error:
        raise UnavailableError(error.stderr.strip().splitlines()[-1]) from error
    return folder


def pinned(*packages: str) -> list[str]:
    """Install packages as pinned, with what they need, for CPython."""
    return [UV, "pip", "install", "--quiet", "--python", bare_cpython(), "--compile-bytecode", "--only-binary", ":all:",
            "--require-hashes", "--constraint", str(REQUIREMENTS), *map(pin, packages)]  # fmt: skip


def pin(package: str) -> str:
    """``name==version`` of a package in the requirements."""
    found = re.search(rf"^{re.escape(package)}==\S+", REQUIREMENTS.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{REQUIREMENTS.name} does not pin {package}")
    return found[0]


def own_wheels(*, without_dependencies: bool) -> list[str]:
    """Install the wheels that were built here."""
    shape = ["--no-deps"] if without_dependencies else ["--compile-bytecode"]
    # uv's cache would give an earlier build of the same version.
    return [UV, "pip", "install", "--quiet", "--python", bare_cpython(), *shape, "--reinstall", "--no-cache",
            "--no-index", "--find-links", str(ROOT / "dist"), "--find-links", str(ROOT / "build" / "wheelhouse"),
            *OWN_WHEELS]  # fmt: skip


def peer_on_pypy(pypy: str, contestant: Contestant) -> list[str]:
    """Install a peer's wheel for a PyPy. pip can choose for another interpreter than its own; uv cannot."""
    script = "import sys, sysconfig as s; print('%d%d' % sys.version_info[:2], s.get_config_var('SOABI'))"
    version, abi = output(pypy, "-c", script).split()
    blocks = re.split(r"\n(?=\S)", REQUIREMENTS.read_text())
    requirements = BUILD / f"{contestant.package}.txt"
    requirements.write_text("\n".join(block for block in blocks if block.startswith(f"{contestant.package}==")))
    return [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary", ":all:", "--implementation", "pp", "--python-version", version,
            "--abi", abi.replace("-", "_"), "--platform", f"manylinux_2_28_{platform.machine()}",
            "-r", str(requirements)]  # fmt: skip


def without_cffi(packages: Path, folder: Path) -> Path:
    """A folder of links to packages, all but the cffi of CPython."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in packages.iterdir():
        if "cffi" not in package.name:
            (folder / package.name).symlink_to(package)
    return folder


def bare_cpython() -> str:
    """An environment of the running interpreter without packages."""
    folder = BUILD / "cpython"
    python = folder / "bin" / "python"
    if not python.exists():
        output(UV, "venv", "--quiet", "--python", sys.executable, str(folder))
    return str(python)


def compile_limit(ours: Path | None) -> Path:
    """The C program over the liblmdb that the binding uses."""
    environment = {**os.environ, "PYTHONPATH": str(ours or BUILD / OURS.name)}
    provider = [bare_cpython(), "-m", "liblmdb_wheel"]
    flags = shlex.split(output(*provider, "--cflags", "--libs", environment=environment))
    library_dir = json.loads(output(*provider, "--json", environment=environment))["library_dir"]
    built_for = host("glibc")
    target = ["-target", built_for.triple] if built_for else []
    own = os.environ.get("CC")
    compiler = shlex.split(own) if own else [sys.executable, "-m", "ziglang", "cc", *target]
    program = BUILD / "limit"
    output(*compiler, "-O2", "-pthread", str(HERE / "limit.c"), *flags, f"-Wl,-rpath,{library_dir}", "-o", str(program))
    return program


def output(*command: str, environment: dict[str, str] | None = None) -> str:
    """What a command prints.

    Raises:
        subprocess.CalledProcessError: it fails; the error has what it printed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()
