"""Thousands of values as one picture whose fills are their signs, in the page's colors."""

import torch
from torch import Tensor

from companion.show.figures.svg import Number, text
from companion.show.interactive.pixels import LEVELS, image
from companion.show.look.palette import NEGATIVE, POSITIVE

# Gray 128 of 255 is zero: what is lighter becomes the one color, what is darker the other.
ZERO = 2 * 128 / 255
NOTHING = "0 0 0 0 0 " * 3


def ink_filter(name: str) -> str:
    """A filter that makes of a picture in gray one of signs, in the colors of the page,
    light or dark.
    """
    signs = (
        (POSITIVE, "p", f"2 0 0 0 {-ZERO:.4f}"),
        (NEGATIVE, "n", f"-2 0 0 0 {ZERO:.4f}"),
    )
    parts = [
        f'<feColorMatrix in="SourceGraphic" values="{NOTHING}{alpha}" result="{key}"/>'
        f'<feFlood flood-color="{ink}"/><feComposite in2="{key}" operator="in" '
        f'result="{key}{key}"/>'
        for ink, key, alpha in signs
    ]
    return (
        f'<filter id="{name}" x="0" y="0" width="1" height="1" '
        f'color-interpolation-filters="sRGB">{"".join(parts)}'
        '<feMerge><feMergeNode in="pp"/><feMergeNode in="nn"/></feMerge></filter>'
    )


def inked(x: Number, y: Number, width: Number, height: Number, cells: Tensor) -> str:
    """Levels (`pixels.levels`), a cell each, stretched to a size."""
    rows, columns = cells.shape
    made = ink_filter("xray-ink")
    return (
        f'<svg class="ink" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" aria-hidden="true">'
        f'{made}<image href="{image(cells)}" width="{columns}" '
        f'height="{rows}" preserveAspectRatio="none" filter="url(#xray-ink)" '
        'style="image-rendering:pixelated"/></svg>'
    )


def ink_scale(x: Number, y: Number, full: Number, unit: str) -> str:
    """What the fills mean: from the lowest value to the largest, in a unit."""
    cells = torch.arange(-LEVELS, LEVELS + 1)[None]
    return (
        text(x, y, f"−{full:g}", anchor="start", size=12)
        + inked(x + 18, y - 5, 56, 10, cells)
        + text(x + 78, y, f"{full:g} × {unit}", anchor="start", size=12)
    )
