"""Axes and shapes as chips: a size or a word over the line and in the color of its axis."""

import html
from collections.abc import Sequence

from companion.show.look.palette import named


def chip(content: str, axis: str) -> str:
    """A word or a size as the chip of an axis, with the axis's letter unless the word is
    its name; without an axis the bare word.
    """
    found, shown = named(axis), html.escape(content)
    if found is None:
        return shown
    letter = (
        ""
        if named(content)
        else f'<span class="letter" aria-hidden="true">{found.letter}</span>'
    )
    return (
        f'<span class="axis" data-axis="{found.letter}" title="{axis}">'
        f'<span class="size">{shown}</span>{letter}</span>'
    )


def shape_chips(sizes: Sequence[int], axes: Sequence[str]) -> str:
    """A shape, each size a chip of its axis; the axes are read out, not the letters."""
    pairs = [(str(size), axis) for size, axis in zip(sizes, axes, strict=True)]
    comma = "," if len(pairs) == 1 else ""
    shown = f"({', '.join(chip(*pair) for pair in pairs)}{comma})"
    words = ", ".join(f"{n} {axis}" if named(axis) else n for n, axis in pairs)
    if not any(map(named, axes)):
        return f'<span class="axes-shape">{shown}</span>'
    said = f'role="img" aria-label="shape {words}"'
    data = f'data-sizes="{tuple(sizes)}" data-axes="{html.escape(" ".join(axes))}"'
    return f'<span class="axes-shape" {said} {data}>{shown}</span>'
