"""What ``docs/flatdb.md`` shows is what the command does: each line is run, in the page's order, and its output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flatdb.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_shows_what_the_command_does(tmp_path: Path) -> None:
    """Standard output and standard error, as a terminal shows them."""
    [schema], [cities] = blocks("fbs"), blocks("json")
    (tmp_path / "city.fbs").write_text(schema, encoding="utf-8")
    (tmp_path / "narrow.fbs").write_text(schema.replace("people: ulong", "people: uint"), encoding="utf-8")
    (tmp_path / "cities.json").write_text(cities, encoding="utf-8")
    lines = "".join(blocks("console"))
    shown = [part.partition("\n") for part in re.split(r"^\$ ", lines, flags=re.MULTILINE)[1:]]
    assert len(shown) > 8
    for command, _, expected in shown:
        program, *arguments = command.split()
        assert program == "flatdb"
        done = subprocess.run(
            [sys.executable, "-m", "flatc_wheel.flatdb", *arguments], cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", check=False,
        )  # fmt: skip
        assert (command, done.stdout) == (command, expected)
        assert done.returncode == (1 if expected.startswith("flatdb: ") else 0), command
