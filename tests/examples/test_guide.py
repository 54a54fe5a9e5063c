"""The extension authors' guide is the examples: it shows each file of each, from the file itself."""

from __future__ import annotations

import re

from tests.examples.conftest import ALL, EXAMPLES, EXTENSIONS, ROOT

# What builds leave in a folder that somebody has built in.
MADE = {"__pycache__", "build", "dist", "target", "Cargo.lock"}


def test_the_guide_shows_every_file() -> None:
    """No file of an example is missing from the guide, so that what a reader copies from it is whole."""
    guide = (ROOT / "docs" / "extensions.md").read_text()
    shown = re.findall(r"^```\{literalinclude\} \.\./examples/(\S+)$", guide, re.MULTILINE)
    files = {
        path.relative_to(EXAMPLES).as_posix()
        for example in ALL
        for path in (EXAMPLES / example).rglob("*")
        if path.is_file() and not MADE & set(path.relative_to(EXAMPLES).parts) and ".egg-info" not in str(path)
    }
    assert sorted(shown) == sorted(files)


def test_every_extension_preloads_in_the_same_lines() -> None:
    """The packages differ in their names and languages alone, so the guide's words about one hold for all."""
    texts = set()
    for example, package in EXTENSIONS.items():
        [file] = (EXAMPLES / example).rglob(f"{package}/__init__.py")
        texts.add(re.sub(r"records in \S+,", "records,", file.read_text().replace(package, "package")))
    assert len(texts) == 1
