"""Which cells of the score matrix each call of a model computes."""

from collections.abc import Sequence

from jaxtyping import Bool
from torch import Tensor

from companion.show.figures.frames import box, masked
from companion.show.figures.legends import TINTS
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, svg, text

CELL, LEFT, TOP = 30, 30, 42


def calls_figure(
    runs: Sequence[tuple[str, Sequence[Bool[Tensor, "_ _"]]]], caption: str
) -> Figure:
    """The score matrix of one sequence for each run: a name, and the mask of each of
    its calls.

    A cell holds the number of the call that used it; one that a call computed and masked
    out is crossed out; where there is no cell, nothing was ever computed.
    """
    panels, counts = [], []
    for name, masks in runs:
        length, count = masks[-1].shape[1], sum(mask.numel() for mask in masks)
        counts.append(f"{name}: {count} cells computed, calls made: {len(masks)}")
        body = [text(LEFT, 10, name, anchor="start", size=13)]
        body.append(side(LEFT, TOP - 4, length * CELL, "kv_len", length))
        queries = sum(mask.shape[0] for mask in masks)
        body.append(side(LEFT - 4, TOP, queries * CELL, "q_len", queries, down=True))
        width = LEFT + max(length * CELL + 2, 8 * len(name))
        drawn = "".join(body) + cells(masks)
        panels.append(svg(width, TOP + 2 + length * CELL, drawn, counts[-1]))
    return Figure(tuple(panels), "; ".join(counts), caption)


def cells(masks: Sequence[Bool[Tensor, "_ _"]]) -> str:
    """What each call of a run computes, its rows below those of the calls before."""
    first, drawn = 0, []
    for number, mask in enumerate(masks, start=1):
        tint = TINTS[1] if number % 2 else TINTS[2]
        for i, row in enumerate(mask.tolist(), start=first):
            for j, used in enumerate(row):
                x, y = LEFT + j * CELL, TOP + i * CELL
                drawn.append(
                    box(x, y, CELL, CELL, tint=tint)
                    + text(x + CELL / 2, y + CELL / 2, str(number), size=13)
                    if used
                    else masked(x, y, CELL, CELL)
                )
        first += mask.shape[0]
    return "".join(drawn)
