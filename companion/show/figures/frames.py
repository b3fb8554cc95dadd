"""Rectangles that say what is in them: a tensor by its frame, a value by its fill."""

from companion.show.figures.svg import Number, text
from companion.show.look.palette import (
    ACTIVATIONS,
    CACHED,
    EDGE,
    NEGATIVE,
    POSITIVE,
    TEXT,
    WEIGHTS,
    Ink,
)

# Fill, corner radius and frame of what a tensor can be.
KINDS = {
    "weights": (WEIGHTS, 0, 2),
    "activations": (ACTIVATIONS, 6, 1),
    "cached": (CACHED, 0, 1),
}


def box(
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    *,
    tint: Number = 0,
    ink: Ink = TEXT,
    radius: Number = 0,
) -> str:
    """A rectangle with a thin outline, filled with a tint from 0 to 1 of a color."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
        f'fill="{ink}" fill-opacity="{tint:.2f}" stroke="{EDGE}"/>'
    )


def tensor_box(x: Number, y: Number, width: Number, height: Number, kind: str) -> str:
    """A rectangle that says what a tensor is: weights are square on sand in a thick
    frame, activations round, what is cached is hatched.
    """
    ground, radius, frame = KINDS[kind]
    drawn = (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
        f'fill="{ground}" stroke="{EDGE}" stroke-width="{frame}"/>'
    )
    return drawn + (hatch(x, y, width, height) if kind == "cached" else "")


def frame(x: Number, y: Number, width: Number, height: Number) -> str:
    """A thick frame around the cells that the text speaks of."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="none" '
        f'stroke="{TEXT}" stroke-width="2"/>'
    )


def hatch(x: Number, y: Number, width: Number, height: Number, step: int = 7) -> str:
    """Diagonal lines through a rectangle, rising to the right."""
    lines = []
    for start in range(step, int(width + height), step):
        left, low = x + max(start - height, 0), y + min(start, height)
        right, high = x + min(start, width), y + max(start - width, 0)
        lines.append(f"M{left:g} {low:g}L{right:g} {high:g}")
    return f'<path d="{"".join(lines)}" stroke="{EDGE}" fill="none"/>'


def masked(x: Number, y: Number, width: Number, height: Number) -> str:
    """An empty cell with a stroke through it: what may not be attended."""
    stroke = f"M{x + 4:g} {y + height - 4:g}L{x + width - 4:g} {y + 4:g}"
    return box(x, y, width, height) + f'<path d="{stroke}" stroke="{EDGE}"/>'


def value_cell(
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    value: Number,
    largest: Number,
    label: str = "",
    size: Number = 14,
) -> str:
    """A cell whose fill is the sign of its value, as strong as the value is beside the
    largest of the figure; a negative one has a wedge in its corner.
    """
    strength = min(abs(value) / largest, 1) if largest else 0
    ink = NEGATIVE if value < 0 else POSITIVE
    wedge = f"M{x:g} {y:g}h8l-8 8z"
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{ink}" '
        f'style="fill-opacity:calc({strength:.2f}*var(--look-most,.5))" stroke="{EDGE}"/>'
        + (f'<path d="{wedge}" fill="{NEGATIVE}"/>' if value < 0 else "")
        + (text(x + width / 2, y + height / 2, label, size=size) if label else "")
    )
