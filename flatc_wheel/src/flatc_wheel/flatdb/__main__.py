"""``python -m flatc_wheel.flatdb``: the command ``flatdb``, where its folder is not on ``PATH``."""

import sys

from flatc_wheel.flatdb.cli import main

if __name__ == "__main__":
    sys.exit(main())
