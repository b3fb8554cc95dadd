"""Shapes as they are drawn: in a line, each size with its axis's letter, and as a box whose
sides have the lengths of its axes on a log scale.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from companion.show.figures.frames import KINDS
from companion.show.figures.lines import axis_line, letter
from companion.show.figures.svg import Number
from companion.show.look.palette import EDGE, named

LEAST, MOST = 3, 14  # the side of an axis of 1, pixels for a doubling
SLANT = 0.45  # of its length, to the right and up: a side that leads away


def shape_text(
    x: Number,
    y: Number,
    sizes: Sequence[int],
    axes: Sequence[str],
    *,
    before: str = "",
    anchor: str = "start",
    size: Number = 12.5,
    comma: str = ", ",
) -> str:
    """A shape in one line of text, behind some words; an axis without a name has no letter."""
    each = (f"{n}{letter(axis)}" for n, axis in zip(sizes, axes, strict=True))
    shape = f"({comma.join(each)}{',' if len(sizes) == 1 else ''})"
    words = f"{html.escape(before)} " if before else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'dominant-baseline="central">{words}{shape}</text>'
    )


def side_of(size: int, doubling: Number) -> Number:
    """How long a side is that stands for an axis of this size."""
    return LEAST + doubling * math.log2(max(size, 1))


@dataclass(frozen=True)
class ShapeBox:
    """A tensor as a box: its last axis across, the one before it down, the one before that
    into depth, each as long as its size in doublings; the rest are not drawn.
    """

    sizes: tuple[int, ...]
    axes: tuple[str, ...]
    doubling: Number  # in pixels

    def length(self, place: int) -> Number:
        """The side of the axis at a place from the end (-1 is the last)."""
        if len(self.sizes) < -place:
            return 0 if place == -3 else LEAST
        return side_of(self.sizes[place], self.doubling)

    @property
    def wide(self) -> Number:
        """Pixels across, without the depth."""
        return self.length(-1)

    @property
    def high(self) -> Number:
        """Pixels down, without the depth."""
        return self.length(-2)

    @property
    def deep(self) -> Number:
        """Pixels to the right and up, for the third axis from the end."""
        several = len(self.sizes) > 2 and self.sizes[-3] > 1
        return SLANT * self.length(-3) if several else 0

    def drawn(self, x: Number, y: Number, kind: str = "activations") -> str:
        """The box, its front's lower left corner there."""
        wide, high, deep = self.wide, self.high, self.deep
        ground, _, frame = KINDS[kind]
        look = f'fill="{ground}" stroke="{EDGE}" stroke-width="{frame}" stroke-linejoin="round"'
        top = y - high
        faces = [f"M{x:g} {y:g}h{wide:.1f}v{-high:.1f}h{-wide:.1f}z"]
        if deep:
            faces.append(
                f"M{x:g} {top:.1f}l{deep:.1f} {-deep:.1f}h{wide:.1f}l{-deep:.1f} {deep:.1f}z"
            )
            faces.append(
                f"M{x + wide:.1f} {y:g}l{deep:.1f} {-deep:.1f}v{-high:.1f}l{-deep:.1f} {deep:.1f}z"
            )
        names = [*("",) * 3, *self.axes][-3:]
        lines = [
            axis_line((x, top), (x, y), names[1]),
            axis_line((x, y), (x + wide, y), names[2]),
        ]
        if deep:
            lines.append(axis_line((x, top), (x + deep, top - deep), names[0]))
        return f'<path d="{"".join(faces)}" {look}/>' + "".join(lines)


def doubling_of(shapes: Sequence[Sequence[int]], wide: Number, high: Number) -> Number:
    """Pixels for a doubling, so that every shape's box fits into that width and height: the
    scale that all boxes of a figure share.
    """
    found: list[Number] = [MOST]
    for sizes in shapes:
        across, down, deep = (
            math.log2(max(n, 1)) for n in (*reversed(sizes[-3:]), 1, 1, 1)[:3]
        )
        found.append((wide - 2 * LEAST) / max(across + SLANT * deep, 1))
        found.append((high - 2 * LEAST) / max(down + SLANT * deep, 1))
    return min(found)


def axes_legend(axes: Sequence[str], x: Number, y: Number) -> tuple[str, int]:
    """The line, the letter and the name of each axis, three to a row, and how many rows."""
    found = list(dict.fromkeys(each for name in axes if (each := named(name))))
    drawn = []
    for number, axis in enumerate(found):
        left, middle = x + 112 * (number % 3), y + 20 * (number // 3)
        drawn.append(axis_line((left, middle), (left + 22, middle), axis.name))
        drawn.append(
            f'<text x="{left + 28:g}" y="{middle:g}" font-size="12.5" '
            f'dominant-baseline="central">{letter(axis.name)} {axis.name}</text>'
        )
    return "".join(drawn), -(-len(found) // 3)
