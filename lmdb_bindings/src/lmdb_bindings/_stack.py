"""Whether a thread is at work in this package: what its stack tells.

A handler of a signal runs between two steps of Python, and may raise there. So whoever takes something may lose it
before a ``finally`` can give it back, however the code is written. What is lost is found by those who wait for it:
somebody has it, by the books, who is not at work here any more.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

LOST = 1.0
"""Seconds of waiting after which one looks for what was lost: not a thing to be done often."""


def is_at_work(thread: int) -> bool:
    """Whether a thread has a function of this package in its stack."""
    return _has_own(sys._current_frames().get(thread))


def is_nested() -> bool:
    """Whether the calling function was called by somebody, a handler or the collector, whom this package called."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_own(frame):
        frame = frame.f_back
    return _has_own(frame)


def _has_own(frame: FrameType | None) -> bool:
    while frame is not None:
        if _is_own(frame):
            return True
        frame = frame.f_back
    return False


def _is_own(frame: FrameType) -> bool:
    return frame.f_globals.get("__package__") == __package__
