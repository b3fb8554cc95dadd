"""Rows of boxes under one another, what leaves one entering the next: the parts that
the pictures of a forward pass are made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from companion.show.figures.svg import (
    ACCENT,
    MONO,
    SECOND,
    Number,
    arrow,
    box,
    svg,
    text,
)

WIDTH, HIGH, GAP, LEFT, TOP = 296, 32, 14, 34, 24
LANE = 20  # where the residual stream runs
STREAM = f'stroke="{ACCENT}" stroke-width="2.5" stroke-opacity="0.9" fill="none"'


@dataclass(frozen=True)
class Row:
    """A step and the shape that leaves it, or several that do not wait for one
    another.

    Without a `color` it has no box. One that `adds` joins the residual stream, which
    begins at the first row.
    """

    steps: tuple[tuple[str, tuple[int, ...]], ...]
    color: str = ""
    opacity: float = 0.16
    adds: bool = False


def plain(name: str, shape: tuple[int, ...]) -> Row:
    """What goes in or comes out: no box."""
    return Row(((name, shape),))


def module(name: str, shape: tuple[int, ...]) -> Row:
    """A module with weights."""
    return Row(((name, shape),), ACCENT)


def function(name: str, shape: tuple[int, ...]) -> Row:
    """A computation without weights."""
    return Row(((name, shape),), SECOND, 0.22)


def addition(shape: tuple[int, ...]) -> Row:
    """Where a half of the layer is added to the residual stream."""
    return Row((("+ residual", shape),), SECOND, 0.06, adds=True)


def column(title: str, rows: list[Row], alt: str) -> str:
    """The rows under one another; the residual stream passes by on the left."""
    tops = [TOP + i * (HIGH + GAP) for i in range(len(rows))]
    body = [text(LEFT + WIDTH / 2, 10, title, size=13, extra='font-weight="600"')]
    body += [drawn(row, top) for row, top in zip(rows, tops, strict=True)]
    for (row, top), (following, end) in pairwise(zip(rows, tops, strict=True)):
        lanes = (1, 3, 5) if len(row.steps) > 1 else (3,)
        start, stop = top + HIGH + outset(row), end - outset(following)
        body += [arrow(LEFT + WIDTH * lane / 6, start, stop) for lane in lanes]
    adding = [top for row, top in zip(rows, tops, strict=True) if row.adds]
    body.append(stream([tops[0], *adding]))
    return svg(LEFT + WIDTH + 4, tops[-1] + HIGH + 2, "".join(body), alt)


def outset(row: Row) -> Number:
    """How much higher and lower than other rows one with several steps is."""
    return 4 if len(row.steps) > 1 else 0


def drawn(row: Row, top: Number) -> str:
    """One row: the name and its shape in a line, or where several stand side by
    side, the shape under the name.
    """
    if len(row.steps) > 1:
        return side_by_side(row, top)
    [(name, shape)] = row.steps
    middle = top + HIGH / 2
    frame = box(LEFT, top, WIDTH, HIGH, opacity=row.opacity, color=row.color, radius=6)
    right = LEFT + WIDTH - 10
    return (
        (frame if row.color else "")
        + text(LEFT + 12, middle, name, anchor="start", size=13.5)
        + text(right, middle, str(shape), anchor="end", size=12.5, extra=MONO)
    )


def side_by_side(row: Row, top: Number) -> str:
    """Steps that do not wait for one another: each name above its shape."""
    width = (WIDTH - 8 * (len(row.steps) - 1)) / len(row.steps)
    parts, out = [], outset(row)
    for i, (name, shape) in enumerate(row.steps):
        left = LEFT + i * (width + 8)
        middle = left + width / 2
        parts += [
            box(
                left, top - out, width, HIGH + 2 * out, opacity=row.opacity, color=row.color,
                radius=6,
            ),
            text(middle, top + 7, name, size=13),
            text(middle, top + 24, str(shape), size=11.5, extra=MONO),
        ]  # fmt: skip
    return "".join(parts)


def stream(tops: Sequence[Number]) -> str:
    """The residual stream: from the row at the first of `tops` into each of the
    others, and on from there.
    """
    parts = []
    for number, (start, end) in enumerate(pairwise(tops)):
        leaves = start + HIGH * (3 / 4 if number else 1 / 2)
        enters = end + HIGH / 3
        parts.append(
            f'<path d="M{LEFT - 1} {leaves:g} H{LANE} V{enters:g} H{LEFT - 6}" {STREAM}/>'
        )
        parts.append(head_right(LEFT, enters))
    if parts:
        middle = (tops[0] + tops[1]) / 2
        turned = f'transform="rotate(-90 8 {middle:g})"'
        parts.append(text(8, middle, "residual stream", size=12, extra=turned))
    return "".join(parts)


def head_right(x: Number, y: Number) -> str:
    """The head of the stream's arrow, which points right."""
    corners = f"M{x - 7:g} {y - 5:g} L{x:g} {y:g} L{x - 7:g} {y + 5:g} Z"
    return f'<path d="{corners}" fill="{ACCENT}"/>'
