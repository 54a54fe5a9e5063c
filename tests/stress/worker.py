"""One process of the stress run: threads on one environment, until the time is over. Prints its counts as JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.stress.journal import Journal
from tests.stress.operations import Operations
from tests.stress.shared import SharedEnvironment
from tests.stress.watchdog import Watchdog

PATIENCE = 60.0
"""Seconds without progress of a thread that are a hang."""


class Worker:
    """The threads of one process.

    Args:
        path: the environment.
        engine: ``"0.9"`` or ``"1.0"``.
        index: the number of this process.
        threads: how many.
        seconds: how long.
        seed: of the campaign.
    """

    def __init__(self, path: Path, engine: str, index: int, threads: int, seconds: float, seed: int) -> None:
        self._watchdog = Watchdog(PATIENCE)
        self._shared = SharedEnvironment(path, engine)
        journal = Journal(path.with_name("journal"))
        self._until = time.monotonic() + seconds
        self._failed = False
        self._all = [
            Operations(self._shared, journal, index * threads + i, f"{seed} {index} {i}") for i in range(threads)
        ]

    def run(self) -> dict[str, int]:
        """Run the threads to their end.

        Raises:
            SystemExit: something went wrong, and was printed.
        """
        threads = [threading.Thread(target=self._work, args=(each,), name=f"thread {i}")
                   for i, each in enumerate(self._all)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._shared.env.close()
        if self._failed:
            sys.exit(1)
        return sum((each.counts for each in self._all), Counter())

    def _work(self, operations: Operations) -> None:
        try:
            while time.monotonic() < self._until and not self._failed:
                operation = operations.draw()
                self._watchdog.alive(operation.__name__)
                operations.run(operation)
            operations.let_views_go()
        except BaseException:  # noqa: BLE001 (it is shown, and ends the run)
            self._failed = True
            print(f"{threading.current_thread().name}: {traceback.format_exc()}", file=sys.stderr, flush=True)
            operations.drop_views()
        finally:
            self._watchdog.over()


if __name__ == "__main__":
    path, engine, index, threads, seconds, seed = sys.argv[1:]
    print(json.dumps(Worker(Path(path), engine, int(index), int(threads), float(seconds), int(seed)).run()))
