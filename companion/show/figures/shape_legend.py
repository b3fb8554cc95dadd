"""A shape, large, and all axes by their letters, colors and lines: the legend of the look."""

from collections.abc import Sequence
from dataclasses import dataclass

from companion.show.look.chips import chip, shape_chips
from companion.show.look.code import look_once
from companion.show.look.palette import AXES


@dataclass(frozen=True)
class ShapeLegend:
    """Sizes, the axes that they are of, and beside them every axis with its letter."""

    sizes: tuple[int, ...]
    axes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.sizes}: {', '.join(self.axes)}"

    def _repr_html_(self) -> str:
        letters = "".join(
            f'<li style="display:inline-block;margin-inline-end:1.4em">'
            f'{chip(name, name)} <span class="axis" data-axis="{axis.letter}">'
            f'<span class="letter">{axis.letter}</span></span></li>'
            for name, axis in AXES.items()
        )
        return (
            f'{look_once()}<div class="shape-legend"><span style="font-size:1.9rem">'
            f"{shape_chips(self.sizes, self.axes)}</span>"
            f'<ul style="list-style:none;padding:0;margin:.6rem 0 0">{letters}</ul></div>'
        )


def shape_legend(sizes: Sequence[int], axes: Sequence[str]) -> ShapeLegend:
    """One shape with the axes of its sizes, as the legend of all of them.

    Raises: ValueError when there are more sizes than axes, or fewer.
    """
    if len(sizes) != len(axes):
        raise ValueError(
            f"{len(sizes)} sizes and {len(axes)} axes: each size is of one"
        )
    return ShapeLegend(tuple(sizes), tuple(axes))
