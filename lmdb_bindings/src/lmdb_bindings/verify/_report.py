"""What a verification found, and how much more it may do."""

from __future__ import annotations

import time

LIMIT = 200
"""The problems that are reported by default."""


class VerifyError(Exception):
    """The file cannot be verified at all."""


class DamageError(Exception):
    """A part of the file cannot be followed any further; the message says what is wrong with it."""


class StopError(Exception):
    """The verification ends here; the message says why."""


class Report:
    """The problems, one sentence each, and the budget of pages and seconds."""

    def __init__(self, limit: int = LIMIT, max_pages: int | None = None, seconds: float | None = None) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}: it must be 1 or more")
        self.problems: list[str] = []
        self._limit = limit
        self._max_pages = max_pages
        self._seconds = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._pages = 0

    def add(self, problem: str) -> None:
        """Note a problem.

        Raises:
            StopError: there are as many as the limit allows.
        """
        if len(self.problems) >= self._limit:
            raise StopError("... (further problems are not reported)")
        self.problems.append(problem)

    def spend(self, pages: int = 1) -> None:
        """Note that some work is about to be done, for which so many pages are read.

        Raises:
            StopError: the budget does not allow it.
        """
        if self._max_pages is not None and self._pages + pages > self._max_pages:
            raise StopError(f"not verified to the end: the budget of {self._max_pages} pages is used up")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise StopError(f"not verified to the end: the budget of {self._seconds} seconds is used up")
        self._pages += pages
