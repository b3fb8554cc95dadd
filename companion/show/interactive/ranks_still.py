"""The still picture of a model over ranks: every matrix, cut into the pieces of the ranks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from companion.show.figures.frames import box, tensor_box
from companion.show.figures.legends import TINTS
from companion.show.figures.lines import side
from companion.show.figures.svg import svg, text
from companion.show.look.palette import MUTED

TOP, LEFT, LINE = 44, 48, 18


def panel(
    matrix: Mapping[str, Any],
    axes: Sequence[str],
    exchange: Sequence[Any] | None,
    ranks: int,
) -> tuple[str, str]:
    """A stored matrix, (out, in), its sides on a log scale, in the pieces of the ranks; below
    it a piece's shape and what is exchanged. Beside the picture the same in words.
    """
    (rows, columns), axis, shape = matrix["whole"], matrix["axis"], matrix["shape"]
    high, wide = length(rows), length(columns)
    body = [
        text(LEFT, 8, matrix["name"], anchor="start", size=13),
        tensor_box(LEFT, TOP, wide, high, "weights"),
        side(LEFT, TOP - 2, wide, axes[1], columns),
        side(LEFT - 2, TOP, high, axes[0], rows, down=True),
    ]
    for rank in range(ranks):
        part = [wide, high] if axis is None else [wide, high / ranks]
        part = part if axis != 1 else [wide / ranks, high]
        x = LEFT + (rank * part[0] if axis == 1 else 0)
        y = TOP + (rank * part[1] if axis == 0 else 0)
        body.append(box(x, y, *part, tint=TINTS[3 - rank % 3]))
        body.append(text(x + part[0] / 2, y + part[1] / 2, str(rank), size=12))
    below = [f"({shape[0]}, {shape[1]}) a rank"]
    if exchange:
        operation, _, sent = exchange
        below.append(f"{operation}, {sent:,} B")
    for line, words in enumerate(below):
        y = TOP + high + 12 + LINE * line
        body.append(text(0, y, words, anchor="start", size=12, ink=MUTED))
    cut = "whole" if axis is None else f"cut by {('rows', 'columns')[axis]}"
    alt = f"{matrix['name']} ({rows}, {columns}) {cut}, {', '.join(below)}"
    width = max(LEFT + wide, 6.6 * max(map(len, below))) + 4
    return svg(width, TOP + high + 2 * LINE + 8, "".join(body), alt), alt


def length(size: int) -> float:
    """The side of a box, in pixels, on a log scale."""
    return 11 * math.log2(size / 8)
