"""What a figure's fills mean: tints of things that are no axis, and the scale of values."""

from collections.abc import Sequence

from companion.show.figures.frames import box, value_cell
from companion.show.figures.svg import Number, svg, text

# Of the text's color, for things that are no axis; on all but the first words can be read.
TINTS = (0.72, 0.34, 0.2, 0.06)
DASHES = ("", "6 3", "2 2.5", "8 3 2 3")


def legend(names: Sequence[str], tints: Sequence[Number] = TINTS) -> str:
    """Each name beside its tint, in a line."""
    left, drawn = 0.0, []
    for name, tint in zip(names, tints, strict=False):
        drawn.append(box(left, 4, 12, 12, tint=tint))
        drawn.append(text(left + 17, 10, name, anchor="start", size=12))
        left += 17 + 6.6 * len(name) + 14
    return "".join(drawn)


def scale_legend(x: Number, y: Number, largest: Number, *, signed: bool = True) -> str:
    """The scale of a figure's values: from the lowest through 0 to the largest, or from 0."""
    steps = (-1, -0.5, 0, 0.5, 1) if signed else (0, 0.25, 0.5, 0.75, 1)
    cells = [
        value_cell(x + 22 * i, y, 22, 12, step * largest, largest)
        for i, step in enumerate(steps)
    ]
    ends = [(110 * (step - steps[0]) / (1 - steps[0]), step) for step in steps[::2]]
    words = [
        text(x + at, y + 21, f"{step * largest:.3g}", size=12) for at, step in ends
    ]
    return "".join([*cells, *words])


def scale(largest: Number, *, signed: bool = True) -> str:
    """The legend of a figure's values, below its panels."""
    drawn = scale_legend(16, 1, largest, signed=signed)
    lowest = -largest if signed else 0
    alt = f"The scale of the fills, from {lowest:.3g} to {largest:.3g}"
    return f'<div class="scale">{svg(150, 32, drawn, alt)}</div>'


def check_tints(count: int, things: str) -> None:
    """Refuse more things in one picture than there are tints for."""
    if count > len(TINTS):
        raise ValueError(
            f"{count} {things}: one picture takes at most {len(TINTS)}, which can "
            "still be told apart"
        )
