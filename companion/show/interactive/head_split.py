"""Numbered cells of (length, hidden) on their way into heads, the right one and the wrong."""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from companion.heads import split_heads
from companion.show.figures.frames import box, frame
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, svg, text
from companion.show.interactive.element import Interactive
from companion.show.tables import table

CELL, GAP, LEFT, TOP = 30, 30, 30, 42
TOKENS = (0.04, 0.16, 0.28, 0.4)  # tints, of one token after another


def head_split(caption: str, *, length: int = 3, heads: int = 2) -> Interactive:
    """Three tokens of six numbered features: `view` and `transpose` bring them into heads;
    `view` alone gives the same shape with other cells in it.
    """
    hidden = 3 * heads
    x = torch.arange(length * hidden).reshape(length, hidden)
    cut = x.view(length, heads, -1)
    right = split_heads(x.float(), heads).long()
    wrong = x.view(heads, length, -1)
    heads_of = ("head", "length", "head_dim")
    made = (
        ("x", x[None], ("", "length", "hidden")),
        ("view", cut, ("token", "heads", "head_dim")),
        ("view, transpose", right, heads_of),
        ("view only", wrong, heads_of),
    )
    panels = tuple(panel(*each, hidden, right) for each in made)
    alt = (
        f"{length} tokens of {hidden} features: head 0 is {right[0].tolist()} by view and "
        f"transpose, and {wrong[0].tolist()} by view alone"
    )
    steps = {"x": x, "view": cut, "transpose": cut.transpose(0, 1), "view only": wrong}
    rows = [
        (name, tuple(cells.shape), cells.stride(), str(cells[0].tolist()))
        for name, cells in steps.items()
    ]
    trace = {"length": length, "hidden": hidden, "heads": heads}
    return Interactive(
        "head-split",
        trace,
        Figure(panels, alt, caption),
        table(("step", "shape", "strides", "first along axis 0"), rows),
    )


def panel(
    name: str, cells: Tensor, axes: Sequence[str], hidden: int, right: Tensor
) -> str:
    """Blocks along the first axis under one another; a cell is tinted by its token, and
    framed in heads where another number is right.
    """
    blocks, rows, columns = cells.shape
    high = rows * CELL + GAP
    body = [text(0, 9, name, anchor="start", extra='font-weight="600"')]
    for number, block in enumerate(cells):
        top = TOP + number * high
        body.append(side(LEFT, top, columns * CELL, axes[2], columns))
        body.append(side(LEFT, top, rows * CELL, axes[1], rows, down=True))
        if axes[0]:
            place = LEFT + columns * CELL + 8, top + CELL / 2
            body.append(text(*place, f"{axes[0]} {number}", anchor="start", size=13))
        wrong = block != right[number] if axes[0] == "head" else block < 0
        for (i, j), cell in numpy.ndenumerate(block.numpy()):
            x, y = LEFT + j * CELL, top + i * CELL
            tint = TOKENS[cell // hidden % len(TOKENS)]
            body.append(box(x, y, CELL, CELL, tint=tint))
            body.append(text(x + CELL / 2, y + CELL / 2, str(cell), size=13))
            body.append(frame(x, y, CELL, CELL) if wrong[i, j] else "")
    said = f"{name}, {tuple(cells.shape)}: {cells.tolist()}"
    return svg(LEFT + columns * CELL + 60, TOP + blocks * high, "".join(body), said)
