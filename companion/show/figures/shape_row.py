"""Shapes beside one another, as what one of them becomes."""

from collections.abc import Mapping, Sequence

from companion.show.figures.shapes import (
    ShapeBox,
    axes_legend,
    doubling_of,
    shape_text,
)
from companion.show.figures.svg import Figure, svg, text

ACROSS, DOWN = 150, 70  # room for a box


def shapes_figure(
    tensors: Mapping[str, tuple[Sequence[int], Sequence[str]]], caption: str
) -> Figure:
    """A box for each named shape, its sizes and the axes that these are ("" for none), all on
    one log scale.
    """
    doubling = doubling_of([sizes for sizes, _ in tensors.values()], ACROSS, DOWN)
    panels, told = [], []
    for name, (sizes, axes) in tensors.items():
        drawn = ShapeBox(tuple(sizes), tuple(axes), doubling)
        told.append(f"{name} {tuple(sizes)}")
        body = [
            text(2, 10, name, anchor="start", size=13),
            drawn.drawn(4, 28 + DOWN),
            shape_text(2, 44 + DOWN, sizes, axes),
        ]
        width = max(drawn.wide + drawn.deep + 10, 7.6 * len(name), 110)
        panels.append(svg(width, 54 + DOWN, "".join(body), told[-1]))
    every = [axis for _, axes in tensors.values() for axis in axes]
    lines, rows = axes_legend(every, 0, 10)
    legend = svg(344, 20 * rows, lines, "The axes and their lines")
    alt = ", then ".join(told)
    return Figure(tuple(panels), alt, caption, f'<div class="scale">{legend}</div>')
