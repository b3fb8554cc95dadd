"""A tensor as a box whose sides are its axes, on a log scale: a book about shape draws
shape.
"""

import math
from collections.abc import Sequence

from companion.show.figures.svg import EDGE, MUTED, Number, svg, tensor_box, text
from companion.show.look.palette import named

FOOT = 4.0  # px: what a size of 1 has
DOUBLING = 4.5  # px for each doubling
SLANT = (
    0.45  # of its length, to the right and up: a side that leads away from the reader
)
LEFT, TOP, BELOW = (
    26,
    40,
    16,
)  # room for a size beside, for name and shape above, for a size below


def length(size: int) -> float:
    """How long a side is that stands for an axis of this size."""
    return FOOT + DOUBLING * math.log2(max(size, 1))


def panel(name: str, shape: Sequence[int], axes: Sequence[str], kind: str) -> str:
    """A tensor under its name and shape: the last two axes face the reader, the heads
    lead away. An axis of size 1 has no line of its own.
    """
    *outer, down, across = (1, *shape) if len(shape) == 1 else shape
    *outside, beside, below = ("", *axes) if len(axes) == 1 else axes
    wide, high = length(across), length(down)
    heads = outer[-1] if len(outer) > 1 else 1
    slant = SLANT * length(heads) if heads > 1 else 0
    words = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    y = TOP + slant
    parts = [
        text(0, 8, name, anchor="start", size=12, extra='font-weight="600"'),
        text(0, 23, words, anchor="start", size=12),
        lid(LEFT, y, wide, high, slant),
        tensor_box(LEFT, y, wide, high, kind),
        edge(
            f"M{LEFT:g} {y + high:g}h{wide:g}",
            below,
            across,
            (LEFT + wide / 2, y + high + 9),
            "middle",
        ),
        edge(
            f"M{LEFT:g} {y:g}v{high:g}",
            beside,
            down,
            (LEFT - 4, y + high / 2 + 1),
            "end",
        ),
        edge(
            f"M{LEFT:g} {y:g}l{slant:.1f} {-slant:.1f}",
            outside[-1] if outside else "",
            heads,
            (LEFT - 4, y - slant),
            "end",
        ),
    ]
    width = max(LEFT + wide + slant + 4, 7.2 * len(name), 6.8 * len(words))
    return svg(width, y + high + BELOW, "".join(parts), f"{name} {words}, {kind}")


def lid(x: Number, y: Number, wide: Number, high: Number, slant: Number) -> str:
    """The faces of a box that lead away."""
    if not slant:
        return ""
    top = f"M{x:g} {y:g}l{slant:.1f} {-slant:.1f}h{wide:.1f}l{-slant:.1f} {slant:.1f}"
    right = f"M{x + wide:g} {y:g}l{slant:.1f} {-slant:.1f}v{high:.1f}l{-slant:.1f} {slant:.1f}"
    return f'<path d="{top}{right}" fill="none" stroke="{EDGE}"/>'


def edge(
    path: str, axis: str, size: int, place: tuple[Number, Number], anchor: str
) -> str:
    """A side in the color of its axis, with its size and letter; nothing for a size of 1."""
    if size == 1:
        return ""
    found = named(axis)
    ink, letter = (found.ink, found.letter) if found else (MUTED, "")
    tag = f'<tspan fill="{ink}" font-style="italic" font-weight="600">{letter}</tspan>'
    return (
        f'<path d="{path}" stroke="{ink}" stroke-width="3" fill="none"/>'
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{anchor}" '
        f'font-size="12" dominant-baseline="central">{size}{tag}</text>'
    )
