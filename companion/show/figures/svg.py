"""SVG in the book's look: the parts that figures are made of.

Colors are the variables of `companion.show.look`, so that a drawing follows the page it
stands in from light to dark.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from companion.show.figures.lines import axis_line
from companion.show.look.chips import chip
from companion.show.look.code import look_once
from companion.show.look.palette import (
    ACTIVATIONS,
    CACHED,
    EDGE,
    MUTED,
    NEGATIVE,
    POSITIVE,
    RULE,
    TEXT,
    WEIGHTS,
    Ink,
    named,
)

Number = int | float

MONO = 'font-family="ui-monospace, SFMono-Regular, Menlo, monospace"'
# Fill, corner radius and frame of what a tensor can be.
KINDS = {
    "weights": (WEIGHTS, 0, 2),
    "activations": (ACTIVATIONS, 6, 1),
    "cached": (CACHED, 0, 1),
}
# Of the text's color, for things that are no axis; on all but the first words can be read.
TINTS = (0.72, 0.34, 0.2, 0.06)
DASHES = ("", "6 3", "2 2.5", "8 3 2 3")


@dataclass(frozen=True)
class Figure:
    """SVG panels side by side (under one another on a phone), a text that says what they
    show, and a caption, which may name axes in backticks. Below all is the legend.
    """

    panels: tuple[str, ...]
    alt: str
    caption: str
    legend: str = ""  # of the scale that its panels share

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        panels = "".join(self.panels)
        return look_once() + figure(panels, self.alt, self.caption, self.legend)


def figure(panels: str, alt: str, caption: str, after: str = "") -> str:
    """The figure's HTML: panels, and the caption below them."""
    return (
        '<figure class="companion-figure" role="group" '
        f'aria-label="{html.escape(alt, quote=True)}"><div class="panels">{panels}</div>'
        f"{after}<figcaption>{worded(caption)}</figcaption></figure>"
    )


def worded(caption: str) -> str:
    """A caption in HTML: what stands in backticks is code, and an axis a chip."""
    parts = caption.split("`")
    return "".join(
        f"<code>{chip(part, part)}</code>" if number % 2 else html.escape(part)
        for number, part in enumerate(parts)
    )


def svg(width: Number, height: Number, body: str, alt: str) -> str:
    """An SVG of that size in pixels, shrinking with the page, named for screen
    readers.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" style="max-width:100%;height:auto" '
        f'role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="{TEXT}">{body}</svg>'
    )


def text(
    x: Number,
    y: Number,
    content: str,
    *,
    anchor: str = "middle",
    size: Number = 14,
    ink: Ink | None = None,
    extra: str = "",
) -> str:
    """One line of text, centered at its point unless `anchor` says otherwise."""
    fill = f'fill="{ink}" ' if ink else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'dominant-baseline="central" {fill}{extra}>{html.escape(content)}</text>'
    )


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


def arrow(x: Number, start: Number, end: Number) -> str:
    """An arrow straight down, or up where `end` is above `start`."""
    way = 1 if end > start else -1
    return (
        f'<path d="M{x:g} {start:g} V{end - 4 * way:g}" stroke="{EDGE}" fill="none"/>'
        f'<path d="M{x - 4:g} {end - 6 * way:g} L{x:g} {end:g} '
        f'L{x + 4:g} {end - 6 * way:g} Z" fill="{EDGE}"/>'
    )


def side(
    x: Number,
    y: Number,
    length: Number,
    axis: str,
    size: int | None = None,
    *,
    down: bool = False,
) -> str:
    """One side of a tensor, across or down, in its axis's color and pattern, with the size
    and the letter beside it if there is a size.
    """
    line = axis_line((x, y), (x, y + length) if down else (x + length, y), axis)
    if size is None:
        return line
    place = (x - 6, y + length / 2) if down else (x + length / 2, y - 9)
    anchor = "end" if down else "middle"
    return line + (
        f'<text x="{place[0]:g}" y="{place[1]:g}" text-anchor="{anchor}" font-size="12" '
        f'dominant-baseline="central">{size}{letter(axis)}</text>'
    )


def letter(axis: str) -> str:
    """The letter of an axis behind a size, small and low, in its color; of no axis nothing."""
    found = named(axis)
    if found is None:
        return ""
    look = (
        f'fill="{found.ink}" font-size="0.85em" font-style="italic" font-weight="600"'
    )
    back = '<tspan dy="-3">\u200b</tspan>'  # to the line of what follows
    return f'<tspan dy="3" {look}>{found.letter}</tspan>{back}'


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


__all__ = [
    "DASHES", "EDGE", "MONO", "MUTED", "RULE", "TEXT", "TINTS", "Figure", "Number", "arrow", "box",
    "check_tints", "figure", "frame", "hatch", "legend", "letter", "masked", "scale",
    "scale_legend", "side", "svg", "tensor_box", "text", "value_cell", "worded",
]  # fmt: skip
