"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "failed", "not applicable"]


class NotApplicable(Exception):  # noqa: N818 -- no error: the check says that it has nothing to do
    """A check has nothing to look at in a wheel; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """One check of one wheel.

    Attributes:
        check: the check's name.
        verdict: passed, failed, or not applicable.
        found: what was seen; where the check is not applicable, the reason.
        wrong: each fault, in words, with the file that has it.
    """

    check: str
    verdict: Verdict
    found: str
    wrong: tuple[str, ...] = ()
