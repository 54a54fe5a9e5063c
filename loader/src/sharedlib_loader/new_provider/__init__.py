"""``python -m sharedlib_loader new-provider NAME``: write a provider project for a C library.

The project builds as it is, around a library of one function, so that everything can be seen to work before the real
sources take that function's place. Not for building (see ``build``), and not for telling what a library's SONAME,
sources or exports should be: its upstream says that.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

# Template: where its text goes. Both have marks, as in @name@; the fields are those of `_fields`.
FILES = {
    "pyproject.toml.in": "pyproject.toml",
    "setup.py.in": "setup.py",
    "MANIFEST.in.in": "MANIFEST.in",
    "README.md.in": "README.md",
    "package.py.in": "src/@package@/__init__.py",
    "py.typed.in": "src/@package@/py.typed",
    "library.pc.in": "src/@package@/lib/pkgconfig/@name@.pc",
    "library.h.in": "upstream/@name@.h",
    "library.c.in": "upstream/@name@.c",
    "test_package.py.in": "tests/test_@package@.py",
}

# What an option must look like, since it becomes part of the project's source text.
FORMS = {
    "soname": (r"lib[\w+.-]+\.so[\w.]*", "a file name such as libzstd.so.1"),
    "version": (r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?", "numbers with points between them, as in 1.5.7 or 2.0rc1"),
    "prefix": (r"[A-Za-z_]\w*", "the start of a C name, as in ZSTD_"),
}


class NewProviderError(Exception):
    """The project cannot be written, and nothing was; the text says why, and what to do."""


def create(name: str, *, soname: str, version: str, prefix: str, into: Path) -> Path:
    """Write the project into a new folder ``<name>_wheel``, whole or not at all.

    Args:
        name: the library's name, as consumers will ask for it; lower-case letters, digits and underscores.
        soname: the SONAME, which becomes the name of the one file.
        version: the library's version, which becomes the wheel's.
        prefix: how the names of the exported functions begin.
        into: the folder that the project's folder is made in.

    Returns:
        The project's folder.

    Raises:
        NewProviderError: an argument is unfit, the project's folder exists, or ``into`` cannot be written to.
    """
    _check_name(name)
    for option, value in (("soname", soname), ("version", version), ("prefix", prefix)):
        form, means = FORMS[option]
        if not re.fullmatch(form, value, re.ASCII):
            raise NewProviderError(f"the {option} {value!r} is unfit: give {means}")
    fields = _fields(name, soname, version, prefix)
    project = into / fields["package"]
    if project.exists() or project.is_symlink():
        raise NewProviderError(f"{project} exists: remove it, or choose another name or folder")
    try:
        _write(fields, project)
    except OSError as error:
        raise NewProviderError(f"{project} cannot be written: {error.strerror or error}") from error
    return project


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise NewProviderError(
            f"the name {name!r} cannot be part of a package's name: use lower-case letters, digits and underscores, "
            "a letter first, and no keyword of Python"
        )
    if name in sys.stdlib_module_names:
        raise NewProviderError(
            f"{name!r} is a module of the standard library, which may have loaded the system's copy of such a library "
            f"before any provider can: choose another name, such as my_{name}, and a SONAME that is yours alone"
        )


def _fields(name: str, soname: str, version: str, prefix: str) -> dict[str, str]:
    """What stands for each mark in the templates."""
    return {
        "name": name,
        "NAME": name.upper(),
        "package": f"{name}_wheel",
        "distribution": f"{name.replace('_', '-')}-wheel",
        "soname": soname,
        "version": version,
        "prefix": prefix,
    }


def _write(fields: dict[str, str], project: Path) -> None:
    """Write every file into a hidden folder beside the project's, and move the whole when all are there."""

    def filled(text: str) -> str:
        return re.sub(r"@(\w+)@", lambda mark: fields[mark[1]], text)

    templates = files(__name__) / "templates"
    with tempfile.TemporaryDirectory(prefix=f".{project.name}-", dir=project.parent) as folder:
        whole = Path(folder, project.name)
        for template, place in FILES.items():
            target = whole / filled(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(filled((templates / template).read_text(encoding="utf-8")), encoding="utf-8")
        whole.rename(project)


def main(arguments: list[str]) -> int:
    """Run the command; give its exit status, 1 where the project cannot be written."""
    about = "Write a provider project for a C library: a wheel that ships it as one shared library for everybody."
    parser = argparse.ArgumentParser(prog="python -m sharedlib_loader new-provider", description=about)
    parser.add_argument("name", metavar="NAME", help="the library's name, such as zstd; the package is NAME_wheel")
    parser.add_argument("--soname", help="the library's SONAME; default: libNAME.so.0")
    parser.add_argument("--version", default="0.1.0", help="the library's version; default: 0.1.0")
    parser.add_argument("--prefix", help="how the names of its functions begin; default: NAME_")
    parser.add_argument("--into", type=Path, default=Path(), metavar="FOLDER", help="default: the current one")
    chosen = parser.parse_args(arguments)
    soname = f"lib{chosen.name}.so.0" if chosen.soname is None else chosen.soname
    prefix = f"{chosen.name}_" if chosen.prefix is None else chosen.prefix
    try:
        project = create(chosen.name, soname=soname, version=chosen.version, prefix=prefix, into=chosen.into)
    except NewProviderError as error:
        print(f"new-provider: {error}", file=sys.stderr)
        return 1
    print(f"{project}: a provider of {soname}. Its README.md says what is next.")
    return 0
