"""Lines: arrows, and those that name an axis, in its color and its pattern, which says the
same to who does not see the color.
"""

import math

from companion.show.figures.svg import Number
from companion.show.look.palette import EDGE, named

Point = tuple[Number, Number]
# Of each pattern: how wide it is drawn, and what SVG is told of its dashes.
PATTERNS = {
    "dotted": (2.6, 'stroke-dasharray="0.1 4.4" stroke-linecap="round"'),
    "double": (1.3, ""),
    "solid": (2.6, ""),
    "dashed": (2.6, 'stroke-dasharray="6 3"'),
    "wavy": (1.6, ""),
    "thick": (4.6, ""),
}
APART, WAVE = 3.4, 4  # the two of a double line, half a wave


def axis_line(start: Point, end: Point, axis: str) -> str:
    """A line from point to point as the axis of that name has it, or of no axis."""
    found = named(axis)
    if found is None:
        return path(straight(start, end), EDGE, 1.3)
    width, dashes = PATTERNS[found.line]
    if found.line == "wavy":
        return path(wave(start, end), found.ink, width, dashes)
    if found.line == "double":
        lines = [straight(*shifted(start, end, by)) for by in (-APART / 2, APART / 2)]
        return path("".join(lines), found.ink, width, dashes)
    return path(straight(start, end), found.ink, width, dashes)


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


def arrow(x: Number, start: Number, end: Number) -> str:
    """An arrow straight down, or up where `end` is above `start`."""
    way = 1 if end > start else -1
    return (
        f'<path d="M{x:g} {start:g} V{end - 4 * way:g}" stroke="{EDGE}" fill="none"/>'
        f'<path d="M{x - 4:g} {end - 6 * way:g} L{x:g} {end:g} '
        f'L{x + 4:g} {end - 6 * way:g} Z" fill="{EDGE}"/>'
    )


def path(along: str, ink: object, width: float, extra: str = "") -> str:
    """An unfilled path."""
    stroke = f'stroke="{ink}" stroke-width="{width:g}"'
    return f'<path d="{along}" {stroke} fill="none"{f" {extra}" if extra else ""}/>'


def straight(start: Point, end: Point) -> str:
    """From point to point."""
    return f"M{tuple_of(start)}L{tuple_of(end)}"


def shifted(start: Point, end: Point, by: float) -> tuple[Point, Point]:
    """Both points moved to the line's side."""
    (dx, dy) = (by * part for part in across(start, end))
    return (start[0] + dx, start[1] + dy), (end[0] + dx, end[1] + dy)


def across(start: Point, end: Point) -> Point:
    """The unit vector at a right angle to a line."""
    length = math.dist(start, end) or 1
    return (start[1] - end[1]) / length, (end[0] - start[0]) / length


def wave(start: Point, end: Point) -> str:
    """Half waves to the one side and the other, all of one length."""
    count = max(2, round(math.dist(start, end) / WAVE))
    step = (end[0] - start[0]) / count, (end[1] - start[1]) / count
    side = across(start, end)
    top = step[0] / 2 + 3 * side[0], step[1] / 2 + 3 * side[1]
    first = f"q{tuple_of(top)} {tuple_of(step)}"
    return f"M{tuple_of(start)}{first}" + f"t{tuple_of(step)}" * (count - 1)


def tuple_of(point: Point) -> str:
    """Two coordinates in a path."""
    return f"{round(point[0], 2):g} {round(point[1], 2):g}"
