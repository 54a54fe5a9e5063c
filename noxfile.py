"""Every task of the project, and the only place that knows how each is done. ``make`` and CI call these.

All sessions run in one environment, ``.venv``, which the Makefile fills from the hashed ``constraints.txt``; wheels
are tried in fresh environments outside the source tree.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
BUILD = ROOT / "build"
WHEELHOUSE = BUILD / "wheelhouse"
PYTHON = sys.executable
BIN = Path(PYTHON).parent

# The loader's part that compiles providers: the rest of the loader changes nothing in what they build.
BUILD_SIDE = "loader/src/sharedlib_loader/build"

# folder: the distribution's name in file names, and the folders that its build reads beside its own. In build order:
# each is installed into .venv when it is built, where it is a build requirement of those after it.
PROJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "loader": ("sharedlib_loader", ()),
    "liblmdb_wheel": ("liblmdb_wheel", (BUILD_SIDE,)),
    "lmdb_bindings": ("lmdb_bindings", ()),
    "flatc_wheel": ("flatc_wheel", (BUILD_SIDE, "liblmdb_wheel/upstream/lmdb-0.9", "liblmdb_wheel/upstream/lmdb-1.0")),
}

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]

# Wheels get this date, and their files these modes, so that the same sources make the same wheel: the earliest that zip
# knows, and what everybody may read.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
os.umask(0o022)
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(BUILD / "zig"))
os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")


@nox.session
def vendor(session: nox.Session) -> None:
    """Fetch, verify, patch and stage the third-party sources."""
    session.run(PYTHON, "-m", "vendor", "fetch", external=True)


@nox.session
def build(session: nox.Session) -> None:
    """Build the four wheels and sdists into dist/, those whose inputs have changed."""
    vendor(session)
    for folder, (name, others) in PROJECTS.items():
        state = _state(folder, *others)
        stamp = Path(sys.prefix, "built", folder)  # in .venv, since that is where it is installed
        if stamp.exists() and stamp.read_text() == state and len(list(DIST.glob(f"{name}-*"))) >= 2:
            session.log(f"{folder}: unchanged")
            continue
        stamp.unlink(missing_ok=True)  # before anything changes: an interrupted build must not pass for a done one
        for old in DIST.glob(f"{name}-*"):
            old.unlink()
        _build_one(session, folder)
        session.run(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall",
                    *map(str, DIST.glob(f"{name}-*.whl")), external=True)  # fmt: skip
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(state)
    _fill_wheelhouse(session)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build the wheels of every platform into dist/, or of those named: ``nox -s wheels -- win_amd64 macosx_arm64``."""
    build(session)
    session.run(PYTHON, "-m", "release.build", *session.posargs, external=True)


@nox.session
def proof(session: nox.Session) -> None:
    """Check every wheel in dist/ as a file; options go through: ``nox -s proof -- --json build/proof.json``."""
    wheels = sorted(map(str, DIST.glob("*.whl")))
    session.run(PYTHON, "-m", "release.proof", *wheels, *session.posargs, external=True)


@nox.session
def test(session: nox.Session) -> None:
    """Run everything that must pass: style and types, the site, the demo, and all tests against the built wheels."""
    lint(session)
    docs(session)
    demo(session)
    if session.posargs:
        session.run(PYTHON, "-m", "pytest", "-n", "2", *session.posargs, external=True)
        return
    session.run(PYTHON, "-m", "pytest", "-n", "2", "--ignore", "tests/loader", external=True)
    without_fast(session)
    coverage(session)


@nox.session(name="without-fast")
def without_fast(session: nox.Session) -> None:
    """Run the binding's tests as they run where the fast library is not: the same results are expected.

    The other tests do not depend on it, and those of conformance run each way by themselves.
    """
    build(session)
    if sys.implementation.name == "cpython":  # no other has it
        session.run(PYTHON, "-m", "pytest", "-n", "2", "tests/bindings", "tests/tables", *session.posargs,
                    env={"LMDB_BINDINGS_FAST": "0"}, external=True)  # fmt: skip


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the loader's tests, and fail where on Linux a line or a branch of it is not run by them."""
    build(session)
    tests = ["-m", "pytest", "-n", "2", "tests/loader"]
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        session.run(PYTHON, *tests, external=True)
        return
    session.run(PYTHON, "-m", "coverage", "erase", external=True)
    session.run(PYTHON, "-m", "coverage", "run", *tests, external=True)
    session.run(PYTHON, "-m", "coverage", "combine", "--quiet", external=True)
    session.run(PYTHON, "-m", "coverage", "report", external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types, and the workflows for the CI service."""
    session.run(str(BIN / "ruff"), "check", external=True)
    session.run(str(BIN / "ruff"), "format", "--check", external=True)
    session.run(PYTHON, "-m", "mypy", external=True)
    if sys.version_info < (3, 11):
        session.warn("the workflows are not checked: what checks them needs Python 3.11")
        return
    workflows = map(str, sorted(Path(".github", "workflows").glob("*.yml")))
    schema = ["--builtin-schema", "vendor.github-workflows"]
    session.run(str(BIN / "check-jsonschema"), "--quiet", *schema, *workflows, external=True)
    session.run(str(BIN / "zizmor"), "--quiet", "--offline", "--no-config", "--strict-collection",
                "--persona", "pedantic", ".github", external=True)  # fmt: skip


@nox.session
def demo(session: nox.Session) -> None:
    """Build, install into a clean environment outside this tree, and run examples/unicode_db."""
    build(session)
    with tempfile.TemporaryDirectory(prefix="liblmdb-demo-") as folder:
        python = Path(folder, "env", "bin", "python")
        session.run(str(BIN / "uv"), "venv", "--quiet", "--python", PYTHON, str(python.parent.parent), external=True)
        session.run(str(BIN / "uv"), "pip", "install", "--quiet", "--no-cache", "--python", str(python), "--no-index",
                    "--find-links", str(DIST), "--find-links", str(WHEELHOUSE),
                    "sharedlib-loader", "liblmdb-wheel", "lmdb-bindings", "flatc-wheel", external=True)  # fmt: skip
        # A copy, since building the extension writes into its folder.
        examples = shutil.copytree(ROOT / "examples", Path(folder, "examples"))
        with session.chdir(folder):
            session.run(PYTHON, str(examples / "unicode_db" / "demo.py"), str(python), str(examples), external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs; a warning is an error."""
    build(session)
    session.run(PYTHON, "-m", "sphinx", "-q", "-W", "docs", str(BUILD / "docs"), external=True)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure the binding beside its peers, and write the result into docs/. Not part of CI: times are no test.

    Takes the options of ``python -m benchmarks``: ``nox -s benchmark -- --pypy pypy3.11 --rounds 30``. Fetches the
    peers into build/benchmarks.
    """
    build(session)
    session.run(PYTHON, "-m", "benchmarks", *session.posargs, external=True)


@nox.session(name="benchmark-tables")
def benchmark_tables(session: nox.Session) -> None:
    """Measure typed tables and flatdb beside their peers, and write the result into docs/. Not part of CI either."""
    build(session)
    session.run(PYTHON, "-m", "benchmarks.tables", *session.posargs, external=True)


@nox.session
def platforms(session: nox.Session) -> None:
    """Use the wheels on every C library, interpreter and machine that can be had here, and write that into docs/.

    Not part of CI: it takes an hour and 7 GB. Takes the arguments of ``python -m release.runs``.
    """
    build(session)
    session.run(PYTHON, "-m", "release.build", external=True)
    proof, wheels = str(BUILD / "proof.json"), sorted(map(str, DIST.glob("*.whl")))
    session.run(PYTHON, "-m", "release.proof", *wheels, "--json", proof, external=True, success_codes=[0, 1])
    session.run(PYTHON, "-m", "release.runs", "--proof", proof, *session.posargs, external=True)


@nox.session
def stress(session: nox.Session) -> None:
    """Stress the binding for minutes by processes and threads; ``nox -s stress -- --engine 0.9 --seconds 600``."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.stress", *session.posargs, external=True)


@nox.session
def kill(session: nox.Session) -> None:
    """Kill a writer at random moments, and look for what it had committed; ``nox -s kill -- --rounds 200``."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.kill", *session.posargs, external=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Put damaged records, texts and schemas through libflatdb under sanitizers, and write the counts into docs/."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.flatdb_fuzz", *session.posargs, external=True)


@nox.session(name="sanitize-fast")
def sanitize_fast(session: nox.Session) -> None:
    """Run the binding's tests with instrumented libraries, by sanitizers and by valgrind, and write that into docs/."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.fast_sanitizers", *session.posargs, external=True)


@nox.session(name="fuzz-calls")
def fuzz_calls(session: nox.Session) -> None:
    """Do random calls by two paths side by side, and compare; ``nox -s fuzz-calls -- --scripts 20000 --seed 7``."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.calls", *session.posargs, external=True)


@nox.session(name="kill-import")
def kill_import(session: nox.Session) -> None:
    """Kill flatdb's import at random moments, and restart it; ``nox -s kill-import -- --kills 50``."""
    build(session)
    session.run(PYTHON, "-m", "tests.stress.flatdb_kill", *session.posargs, external=True)


@nox.session
def constraints(session: nox.Session) -> None:
    """Pin every development tool by version and hash, and what the benchmarks compare with."""
    shape = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--upgrade"]
    session.run(str(BIN / "uv"), "pip", "compile", "--quiet", "--group", "dev", *shape, "--python-version", "3.10",
                "-o", "constraints.txt", external=True)  # fmt: skip
    session.run(str(BIN / "uv"), "pip", "compile", "--quiet", "benchmarks/requirements.in", *shape,
                "--python-version", "3.11", "-o", "benchmarks/requirements.txt", external=True)  # fmt: skip


def _state(*folders: str) -> str:
    """A digest of everything that a build reads: the folders' files, the tools' versions, this file, the compiler."""
    digest = hashlib.sha256((ROOT / "constraints.txt").read_bytes() + (ROOT / "noxfile.py").read_bytes())
    digest.update(repr([os.environ.get(name) for name in ("CC", "CXX", "SOURCE_DATE_EPOCH")]).encode())
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT / folder).parts
            made = inside[0] == "build" or any(part == "__pycache__" or part.endswith(".egg-info") for part in inside)
            if path.is_file() and not made:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _build_one(session: nox.Session, folder: str) -> None:
    """Build a wheel and an sdist; the compiler's progress goes to the terminal, setuptools' chatter to a log."""
    # setuptools never removes from its build folder what the sources no longer have.
    for stale in (ROOT / folder / "build").glob("lib*"):
        shutil.rmtree(stale)
    log = BUILD / "log" / f"{folder}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [PYTHON, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", str(DIST), folder]
    try:
        with log.open("w") as chatter:
            session.run(*command, stdout=chatter, stderr=None, external=True)
    except CommandFailed:
        session.error(f"{folder} cannot be built; the end of {log}:\n{log.read_text()[-4000:]}")
    _date_sdist(next(DIST.glob(f"{PROJECTS[folder][0]}-*.tar.gz")))


def _date_sdist(sdist: Path) -> None:
    """Write an sdist again so that the same sources make the same file: setuptools heeds the date for wheels alone."""
    date = int(os.environ["SOURCE_DATE_EPOCH"])
    with tarfile.open(sdist) as old:
        entries = sorted(((entry, old.extractfile(entry)) for entry in old), key=lambda pair: pair[0].name)
        new = sdist.with_suffix(".new")
        with (
            new.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=date) as stream,
            tarfile.open(fileobj=stream, mode="w") as tar,
        ):
            for entry, data in entries:
                entry.mtime, entry.mode, entry.pax_headers = date, 0o755 if entry.mode & 0o100 else 0o644, {}
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                tar.addfile(entry, data)
    new.replace(sdist)


def _fill_wheelhouse(session: nox.Session) -> None:
    """Keep the run-time dependencies of the wheels here, so that fresh environments need no network."""
    pins = f"# {sys.implementation.cache_tag}\n{_pins()}"  # wheels for this interpreter
    stamp = WHEELHOUSE / "pins.txt"
    if stamp.exists() and stamp.read_text() == pins:
        return
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)
    WHEELHOUSE.mkdir(parents=True)
    requirements = BUILD / "wheelhouse.txt"
    requirements.write_text(pins)
    session.run(PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--dest", str(WHEELHOUSE), "-r", str(requirements), external=True)  # fmt: skip
    stamp.write_text(pins)


def _pins() -> str:
    """The blocks of constraints.txt, hashes included, for what the group ``runtime`` names."""
    groups = nox.project.load_toml("pyproject.toml")
    names = {Requirement(line).name for line in nox.project.dependency_groups(groups, "runtime")}
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text())
    return "\n".join(block for block in blocks if re.split(r"[=\s]", block)[0] in names) + "\n"
