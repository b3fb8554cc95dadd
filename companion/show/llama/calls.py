"""Which cells of the score matrix each call of a model computes."""

from collections.abc import Sequence

from jaxtyping import Bool
from torch import Tensor

from companion.show.figures.svg import ACCENT, SECOND, Figure, cell, svg, text

CELL = 30


def calls_figure(
    runs: Sequence[tuple[str, Sequence[Bool[Tensor, "_ _"]]]], caption: str
) -> Figure:
    """The score matrix of one sequence for each run: a name, and the mask of each of
    its calls.

    A cell holds the number of the call that used it, a dot where a call computed it
    and masked it out; an empty cell was never computed.
    """
    panels, counts = [], []
    for name, masks in runs:
        length, count = masks[-1].shape[1], sum(mask.numel() for mask in masks)
        counts.append(f"{name}: {count} cells computed, calls made: {len(masks)}")
        title = text(length * CELL / 2 + 1, 10, name, size=13)
        width = max(length * CELL, 8 * len(name)) + 2
        panels.append(svg(width, 26 + length * CELL, title + cells(masks), counts[-1]))
    return Figure(tuple(panels), "; ".join(counts), caption)


def cells(masks: Sequence[Bool[Tensor, "_ _"]]) -> str:
    """What each call of a run computes, its rows below those of the calls before."""
    first, drawn = 0, []
    for number, mask in enumerate(masks, start=1):
        color = SECOND if number % 2 else ACCENT
        for i, row in enumerate(mask.tolist(), start=first):
            for j, used in enumerate(row):
                label, opacity = (str(number), 0.4) if used else ("·", 0.08)
                place = 1 + j * CELL, 24 + i * CELL, CELL, CELL
                drawn.append(cell(*place, label, opacity=opacity, color=color, size=13))
        first += mask.shape[0]
    return "".join(drawn)
