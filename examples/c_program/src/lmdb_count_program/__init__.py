"""Count LMDB records in a program, over the liblmdb of liblmdb-wheel."""

import os
import sys
from pathlib import Path
from typing import NoReturn

PROGRAM = Path(__file__).resolve().parent / "lmdb-count"


def main() -> NoReturn:
    """Become the program, which then has this process's streams, signals and exit status."""
    os.execv(PROGRAM, [str(PROGRAM), *sys.argv[1:]])
