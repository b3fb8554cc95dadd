"""Amounts as squares: what is a quarter of another looks like a quarter of it."""

from collections.abc import Mapping

from companion.show.figures.frames import box
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.tables import amount

SIDE, HEAD = 150, 44  # of the largest square, and the lines above each, in px


def areas(sizes: Mapping[str, Number], *, unit: str, caption: str) -> Figure:
    """A square for each named size, all on one scale and one ground line; the size and its
    share of the largest stand above it.

    Raises: ValueError for no sizes, and for one that is not positive.
    """
    if wrong := [name for name, size in sizes.items() if size <= 0]:
        raise ValueError(f"{', '.join(wrong)}: an area needs a size above 0")
    if not sizes:
        raise ValueError("no sizes: name one at least")
    largest = max(sizes.values())
    panels, told = [], []
    for name, size in sizes.items():
        side = SIDE * (size / largest) ** 0.5
        said, share = amount(round(size), unit), f"{100 * size / largest:.0f}%"
        told.append(f"{name} {said}, {share} of the largest")
        body = [
            text(1, 10, name, anchor="start", size=14),
            text(1, 30, f"{said}, {share}", anchor="start", size=13),
            box(1, HEAD + SIDE - side, side, side, tint=0.12),
        ]
        width = max(side, 8 * len(f"{said}, {share}"), 8 * len(name)) + 2
        panels.append(svg(width, HEAD + SIDE + 1, "".join(body), told[-1]))
    return Figure(tuple(panels), "; ".join(told), caption)
