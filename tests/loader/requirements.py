"""The requirements of a wheel that shares a library, who else meets them, and the tests here that hold each.

``python -m tests.loader.requirements`` writes ``docs/requirements.md``. A test holds a requirement where it, or its
module, is marked so: ``@pytest.mark.requirement("R7")``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"

PEERS = ("native_lib_loader", "RAPIDS", "scipy-openblas", "milksnake", "cuda-pathfinder")


@dataclass(frozen=True)
class Requirement:
    """What is asked, and for each of the peers: yes, partly, no, "-" where it does not apply, "?" where nobody looked."""

    name: str
    asked: str
    peers: tuple[str, str, str, str, str]


# From reading the peers' sources and running them on Debian 12: native_lib_loader 38ffd77, librmm's load.py 5d50a37,
# scipy_openblas32 0.3.34.481.3, milksnake 421cc1f, cuda-pathfinder 1.9.0. There is no R2: it was a choice, of SONAMEs.
REQUIREMENTS = (
    Requirement(
        "R1",
        "One shared file, named as its SONAME; no links, no RPATH, only the C library needed",
        ("partly", "partly", "yes", "yes", "-"),
    ),
    Requirement(
        "R3",
        "The library's own calls stay inside, it stays loaded, it exports its API alone",
        ("no", "partly: exports are checked", "yes: by prefix and visibility", "no", "-"),
    ),
    Requirement("R4", "One wheel for all interpreters, platlib, manylinux proved", ("?", "?", "?", "?", "-")),
    Requirement("R5", "Built for other systems too, and checked there as files", ("?", "?", "?", "?", "-")),
    Requirement("R6", "Importing loads nothing", ("yes", "yes", "no: dlopen at import", "-", "?")),
    Requirement(
        "R7",
        "`load()` is explicit, idempotent, `RTLD_LOCAL`, keeps the handle, and returns a frozen record",
        ("partly: no handle", "partly: no record", "no: `RTLD_GLOBAL`", "partly", "partly: `RTLD_GLOBAL`"),
    ),
    Requirement(
        "R8",
        "After the load, the SONAME is proved to resolve to it, or the winner is named",
        ("no", "no", "no", "no", "partly: asks before"),
    ),
    Requirement(
        "R9",
        "The winner's version is read; a caller can ask for one",
        ("no", "no: pinned", "partly: in CI", "no", "?"),
    ),
    Requirement(
        "R10",
        "Copies that share no SONAME are found too, and explained",
        ("no: documented", "no", "no: symbol prefix", "no", "?"),
    ),
    Requirement(
        "R11",
        "A strict switch between wheel, system and a path",
        ("partly: `0` switches it on", "partly: `0` switches it on", "no", "no", "partly: a search order"),
    ),
    Requirement(
        "R12",
        "Errors say what was tried, the system's words, the cause, the cure",
        ("partly", "no: silent None", "no", "partly", "partly: folders tried"),
    ),
    Requirement(
        "R13",
        "A missing provider is told from a broken one",
        ("no: both are ignored", "no: both are ignored", "no", "no", "?"),
    ),
    Requirement("R14", "Typed; never returns None", ("partly: no marker", "no", "no", "no", "?")),
    Requirement("R15", "Safe to call from any thread", ("no", "no", "no", "no", "partly: a cache")),
    Requirement("R16", "fork and spawn are defined", ("no", "no", "no", "no", "no")),
    Requirement(
        "R17",
        "Zip import, editable installs, split site-packages, any folder name",
        ("partly: editable", "partly", "no", "partly: editable", "?"),
    ),
    Requirement("R18", "musl", ("no", "no", "partly: `RTLD_GLOBAL`", "no", "no")),
    Requirement(
        "R19",
        "macOS' install names and Windows' folders of DLLs (by their documented rules; not run)",
        ("partly", "no", "yes", "no", "partly"),
    ),
    Requirement("R20", "CFFI uses the same handle, and does not close it", ("?", "?", "?", "no: by path", "?")),
    Requirement(
        "R21",
        "Functions and a command for folders and flags",
        ("no", "no", "partly: no flags", "no", "partly: headers"),
    ),
    Requirement("R22", "Relocatable pkg-config files without rpath", ("no", "no", "partly: absolute rpath", "no", "-")),
    Requirement(
        "R23",
        "`pkg_config` and `cmake.prefix` entry points, a CMake package",
        ("partly", "partly: CMake", "partly: pkg-config", "no", "-"),
    ),
    Requirement("R24", "How to repair a consumer's wheel", ("?", "?", "?", "?", "-")),
    Requirement("R25", "Providers can be listed", ("no", "no", "no", "no", "partly: a fixed list")),
    Requirement("R26", "Executables that find the library", ("no", "no", "no", "no", "-")),
    Requirement(
        "R27",
        "The binding and a C extension are proved to share one library",
        ("partly: in other forms", "no", "no", "no", "?"),
    ),
    Requirement("R28", "Tests of failures can fail", ("no: vacuous", "no: none", "?", "?", "?")),
    Requirement("R29", "The installed wheel can test itself", ("?", "?", "?", "?", "?")),
    Requirement("R30", "Reproducible wheels with an SBOM", ("?", "?", "?", "?", "?")),
)

HEAD = """\
# Requirements

What a wheel that shares a native library should meet, the tests that hold each here, and who else meets it. The tests
write this page (`python -m tests.loader.requirements`), and fail where it is not what they would write.

"?" means that nobody has looked, "-" that it does not apply. A file stands for all of its tests. The tests of macOS and
Windows run on Linux: the loader's against fakes that behave as those systems' manuals say, the libraries' by reading the
files that are built for them. Nothing has run on them.

"""


def holders() -> dict[str, list[str]]:
    """The tests that hold each requirement: functions, or files where the whole module is marked."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, place in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(name, []).append(place or str(path.relative_to(ROOT / "tests")))
    return found


def _marked(module: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Each mark of a module: the requirement, and the function, or None for the module."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                yield from ((name, node.name) for name in _requirements(decorator))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from ((name, None) for name in _requirements(node.value))


def _requirements(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
            yield ast.literal_eval(node.args[0])


def page() -> str:
    """The whole of ``docs/requirements.md``."""
    held = holders()
    lines = [
        f"| | requirement | held here by | {' | '.join(PEERS)} |",
        f"|---|---|---|{'---|' * len(PEERS)}",
        *(
            f"| {one.name} | {one.asked} | {_cell(held.get(one.name, []))} | {' | '.join(one.peers)} |"
            for one in REQUIREMENTS
        ),
    ]
    return HEAD + "\n".join(lines) + "\n"


def _cell(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in places) or "not yet"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
