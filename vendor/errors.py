"""The one exception of the tool: what failed, on which file, and the command or act that cures it."""

from __future__ import annotations


class VendorError(Exception):
    """A third-party source cannot be had or is not what the lock says.

    ``str(error)`` is one or two sentences for a person: the file, the reason, and the cure.
    """

    def __init__(self, problem: str, *, cure: str) -> None:
        super().__init__(f"{problem}\n  cure: {cure}")
        self.problem = problem
        self.cure = cure
