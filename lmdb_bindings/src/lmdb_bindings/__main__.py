"""``python -m lmdb_bindings``: the command line, see ``tool``. Errors that a user can cure come without a traceback."""

from __future__ import annotations

import os
import sys

from lmdb_bindings.errors import Error
from lmdb_bindings.tool import die, main

if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would fail again at its exit
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except (Error, OSError, OverflowError, ValueError) as problem:
        die("%s", problem)
