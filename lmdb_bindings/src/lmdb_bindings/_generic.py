"""What the classes are generic over. Their subscripts are for type checkers, and cost nothing at run time, where the
standard library's ``typing`` would be most of what importing this package costs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal, TypeAlias
    from typing import Generic as Generic  # noqa: PLC0414 (to be imported from here)

    from typing_extensions import TypeVar

    # What keys and values are given as: bytes, or memoryview where buffers=True. Without a subscript it may be both.
    V = TypeVar("V", bound=bytes | memoryview, covariant=True, default=bytes | memoryview)  # noqa: PLC0105
    # What a scan yields.
    Item = TypeVar("Item", covariant=True, default=Any)  # noqa: PLC0105
    # What a caller gives, and gets back.
    T = TypeVar("T")

    Yes: TypeAlias = Literal[True]
    No: TypeAlias = Literal[False]
    Pair: TypeAlias = tuple[V, V]
    Pairs: TypeAlias = Iterator[tuple[V, V]]
else:
    V = Item = None

    class Generic:
        """The base of a class that takes a subscript."""

        __slots__ = ()
        __class_getitem__ = classmethod(type(list[int]))
