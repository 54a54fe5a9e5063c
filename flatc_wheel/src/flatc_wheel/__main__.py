"""``python -m flatc_wheel``: flatc, wherever the installer put it; for places where its folder is not on ``PATH``."""

import os
import subprocess
import sys

from flatc_wheel import flatc_path


def main() -> int:
    command = [os.fspath(flatc_path()), *sys.argv[1:]]
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606 (signals and exit status are then flatc's own)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
