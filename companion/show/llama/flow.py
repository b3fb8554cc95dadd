"""Rows of steps under one another, each with the tensor that leaves it: the parts that the
pictures of a forward pass are made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from companion.show.figures.frames import tensor_box
from companion.show.figures.lines import arrow
from companion.show.figures.shapes import (
    ShapeBox,
    axes_legend,
    doubling_of,
    shape_text,
)
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.look.palette import TEXT

WIDTH, LEFT, TOP = 344, 32, 26
NAMED, HIGH, GAP = 174, 30, 14  # a step's box; from row to row
BESIDE = LEFT + NAMED + 10  # where the tensors of a single step begin
THIRD = (WIDTH - LEFT) / 3  # of three steps side by side
ACROSS, DOWN, WORDS = 112, 34, 18  # room for a tensor's box, and for its shape below
LANE = 20  # where the residual stream runs
STREAM = f'stroke="{TEXT}" stroke-width="2.5" fill="none"'
HIDDEN = ("batch", "q_len", "hidden")


@dataclass(frozen=True)
class Out:
    """What leaves a step: a tensor's sizes, and the names of those that are axes."""

    step: str
    sizes: tuple[int, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A step, or several that do not wait for one another.

    What it is says its frame: `weights` if it has some, `activations` if it has none;
    without a `kind` it has no box. One that `adds` joins the residual stream, which
    begins at the first row.
    """

    steps: tuple[Out, ...]
    kind: str = ""
    adds: bool = False

    def high(self, doubling: Number) -> Number:
        """Pixels down to where the row ends."""
        tensors = max(box.high + box.deep for box in self.boxes(doubling)) + WORDS
        return HIGH + 6 + tensors if len(self.steps) > 1 else max(HIGH, tensors)

    def boxes(self, doubling: Number) -> list[ShapeBox]:
        """The tensors as boxes."""
        return [ShapeBox(out.sizes, out.axes, doubling) for out in self.steps]


def row(
    kind: str, *steps: tuple[str, tuple[int, ...], tuple[str, ...]], adds: bool = False
) -> Row:
    """Steps by their names, the sizes that leave them, and the names of these."""
    return Row(tuple(Out(*step) for step in steps), kind, adds)


@dataclass(frozen=True)
class Column:
    """Rows under one another, under a title, and what they say in words."""

    title: str
    rows: list[Row]
    alt: str


def side_by_side(columns: Sequence[Column], alt: str, caption: str) -> Figure:
    """A panel for each column, all tensors to one scale."""
    outs = [out for each in columns for row in each.rows for out in row.steps]
    doubling = doubling_of([out.sizes for out in outs], ACROSS, DOWN)
    panels = tuple(panel(each.title, each.rows, each.alt, doubling) for each in columns)
    return Figure(panels, alt, caption, legend([axis for x in outs for axis in x.axes]))


def legend(axes: Sequence[str]) -> str:
    """What frames and sides say."""
    body = [
        tensor_box(1, 3, 22, 14, "weights"),
        text(30, 10, "has weights", anchor="start", size=12.5),
        tensor_box(121, 3, 22, 14, "activations"),
        text(150, 10, "has none", anchor="start", size=12.5),
        text(
            0,
            36,
            "a side grows with the logarithm of its axis:",
            anchor="start",
            size=12.5,
        ),
    ]
    drawn, lines = axes_legend(axes, 0, 58)
    words = "Steps with weights are square on sand, others round; sides on a log scale"
    return f'<div class="scale">{svg(WIDTH, 52 + 20 * lines, "".join(body) + drawn, words)}</div>'


def panel(title: str, rows: list[Row], alt: str, doubling: Number) -> str:
    """The rows under one another; the residual stream passes by on the left."""
    tops: list[Number] = [TOP]
    for row in rows:
        tops.append(tops[-1] + row.high(doubling) + GAP)
    body = [text(LEFT, 10, title, anchor="start", size=13.5, extra='font-weight="600"')]
    body += [drawn(row, top, doubling) for row, top in zip(rows, tops, strict=False)]
    for row, (top, end) in zip(rows[:-1], pairwise(tops[:-1]), strict=True):
        several = len(row.steps) > 1
        start = top + row.high(doubling) + 2 if several else top + HIGH
        lanes = [LEFT + (i + 0.2) * THIRD for i in range(3)] if several else [LEFT + 24]
        body += [arrow(lane, start, end) for lane in lanes]
    adding = [top for row, top in zip(rows, tops, strict=False) if row.adds]
    body.append(stream([tops[0], *adding]))
    told = [f"{out.step} {out.sizes}" for row in rows for out in row.steps]
    words = f"{alt}: {', '.join(told)}"
    return svg(WIDTH, tops[-1] - GAP + 2, "".join(body), words)


def drawn(row: Row, top: Number, doubling: Number) -> str:
    """One row: its step, and the tensor beside it; of several steps each tensor below."""
    if len(row.steps) > 1:
        return at_once(row, top, doubling)
    [out], [box] = row.steps, row.boxes(doubling)
    low = top + box.high + box.deep
    return (
        step(LEFT, top, NAMED, row.kind, out.step)
        + box.drawn(BESIDE, low)
        + shape_text(BESIDE - 2, low + 11, out.sizes, out.axes)
    )


def at_once(row: Row, top: Number, doubling: Number) -> str:
    """Steps that do not wait for one another: each above its tensor."""
    low = top + row.high(doubling) - WORDS
    parts = []
    for i, (out, box) in enumerate(zip(row.steps, row.boxes(doubling), strict=True)):
        left = LEFT + i * THIRD
        parts += [
            step(left, top, THIRD - 6, row.kind, out.step),
            box.drawn(left + 2, low),
            shape_text(left, low + 11, out.sizes, out.axes, size=12, comma=","),
        ]
    return "".join(parts)


def step(left: Number, top: Number, width: Number, kind: str, name: str) -> str:
    """A step's name, in the frame of its kind if it has one."""
    frame = tensor_box(left, top, width, HIGH, kind) if kind else ""
    return frame + text(left + 8, top + HIGH / 2, name, anchor="start", size=12.5)


def stream(tops: Sequence[Number]) -> str:
    """The residual stream: from the row at the first of `tops` into each of the
    others, and on from there.
    """
    parts = []
    for number, (start, end) in enumerate(pairwise(tops)):
        leaves = start + HIGH * (3 / 4 if number else 1 / 2)
        enters = end + HIGH / 3
        corners = f"M{LEFT - 1} {leaves:g} H{LANE} V{enters:g} H{LEFT - 6}"
        parts.append(f'<path d="{corners}" {STREAM}/>')
        parts.append(head_right(LEFT, enters))
    if parts:
        middle = (tops[0] + tops[1]) / 2
        turned = f'transform="rotate(-90 8 {middle:g})"'
        parts.append(text(8, middle, "residual stream", size=12.5, extra=turned))
    return "".join(parts)


def head_right(x: Number, y: Number) -> str:
    """The head of the stream's arrow, which points right."""
    corners = f"M{x - 7:g} {y - 5:g} L{x:g} {y:g} L{x - 7:g} {y + 5:g} Z"
    return f'<path d="{corners}" fill="{TEXT}"/>'
