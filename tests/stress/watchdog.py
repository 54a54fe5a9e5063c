"""Whether all threads of a process go on; a thread that does not is shown, and ends the process."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time

HUNG = 70
"""The exit status of a process that hangs."""


class Watchdog:
    """Threads call :meth:`alive`; silence for ``patience`` seconds is a hang."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._heard: dict[str, tuple[float, str]] = {}
        faulthandler.enable()
        threading.Thread(target=self._watch, daemon=True).start()

    def alive(self, what: str) -> None:
        """The calling thread begins with something."""
        self._heard[threading.current_thread().name] = time.monotonic(), what

    def over(self) -> None:
        """The calling thread ends."""
        self._heard.pop(threading.current_thread().name, None)

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            late = time.monotonic() - self._patience
            hung = {name: what for name, (heard, what) in list(self._heard.items()) if heard < late}
            if hung:
                print(f"process {os.getpid()}: no progress in {self._patience:.0f} s: {hung}", file=sys.stderr)
                faulthandler.dump_traceback()
                os._exit(HUNG)
