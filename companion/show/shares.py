"""What a figure asks of a rank's part of a tensor: `companion.parallel.pieces` has it."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Piece(Protocol):
    """A rank's part of a tensor: where in the whole it begins, its shape, the axis of the
    cut, which is None when a rank has all of it.
    """

    @property
    def whole(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def first(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def axis(self) -> int | None: ...  # noqa: D102


Pieces = Mapping[str, Piece]
