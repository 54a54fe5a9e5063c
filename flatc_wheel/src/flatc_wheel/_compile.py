"""Compile a schema: to a language's source files, or to a binary schema. Complete, or nothing is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatc_wheel._executable import run
from flatc_wheel._versions import check_versions

# What to ask for, and flatc's option for it.
OUTPUTS = {
    "bfbs": ("--binary", "--schema"),
    "cpp": ("--cpp",),
    "csharp": ("--csharp",),
    "dart": ("--dart",),
    "go": ("--go",),
    "java": ("--java",),
    "jsonschema": ("--jsonschema",),
    "kotlin": ("--kotlin",),
    "lobster": ("--lobster",),
    "lua": ("--lua",),
    "nim": ("--nim",),
    "php": ("--php",),
    "python": ("--python",),
    "rust": ("--rust",),
    "swift": ("--swift",),
    "ts": ("--ts",),
}

# flatc makes the folders of these in the current folder whatever -o says, and does not notice that it then cannot
# write the files: src/bfbs_gen_lua.cpp and src/bfbs_gen_nim.cpp, the calls of EnsureDirExists.
_WRITTEN_TO_CURRENT_FOLDER = {"lua", "nim"}


class SchemaError(ValueError):
    """flatc refuses the schema; the text is its own message.

    Attributes:
        command: the options and paths that it was called with.
    """

    def __init__(self, message: str, command: Sequence[str]) -> None:
        super().__init__(message)
        self.command = tuple(command)

    def __reduce__(self) -> tuple[type[SchemaError], tuple[str, tuple[str, ...]]]:
        """Errors cross process pools by pickle."""
        return type(self), (str(self), self.command)


def compile(
    schema: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str],
    *,
    include: Iterable[str | os.PathLike[str]] = (),
    options: Iterable[str] = (),
) -> list[Path]:
    """Compile a FlatBuffers schema.

    Args:
        schema: the ``.fbs`` file.
        to: ``"bfbs"`` for a binary schema, or a language, such as ``"python"`` or ``"cpp"``.
        output: the folder to write into; made if it does not exist.
        include: folders in which ``include`` statements are looked up, beside the schema's own.
        options: further options of flatc, such as ``"--gen-object-api"``.

    Returns:
        The files written, sorted.

    Raises:
        SchemaError: flatc refuses the schema; nothing is written.
        ValueError: ``to`` is not one of the outputs.
        TypeError: ``include`` or ``options`` is one string and not a list of them.
        FlatcNotFoundError: the executable is missing.
        VersionMismatchError: executable, Python runtime and reflection schema are not of one version.
    """
    if to not in OUTPUTS:
        raise ValueError(f"cannot compile to {to!r}: choose one of {', '.join(OUTPUTS)}")
    if isinstance(include, str) or isinstance(options, str):
        raise TypeError("include and options are lists: write [value] for a single one")
    check_versions()
    target = Path(output)
    place = target.absolute()
    existing = next(path for path in (place, *place.parents) if path.is_dir())
    # Into a folder of its own first: flatc writes some files before it finds an error in others.
    with tempfile.TemporaryDirectory(prefix=".flatc-", dir=existing) as folder:
        folders = [argument for path in include for argument in ("-I", os.fspath(Path(path).absolute()))]
        command = [*OUTPUTS[to], *options, *folders, "-o", folder, os.fspath(Path(schema).absolute())]
        done = run(*command, cwd=folder if to in _WRITTEN_TO_CURRENT_FOLDER else None)
        if done.returncode != 0:
            said = (done.stderr + done.stdout).strip()
            raise SchemaError(said or f"flatc ended with status {done.returncode} and without a word", command)
        target.mkdir(parents=True, exist_ok=True)
        return [_move(path, Path(folder), target) for path in sorted(Path(folder).rglob("*")) if path.is_file()]


def _move(path: Path, source: Path, target: Path) -> Path:
    place = target / path.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)
    return place
