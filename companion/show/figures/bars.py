"""Horizontal bars: shares of a whole, or sizes made of parts, on a common scale."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from companion.show.figures.frames import box
from companion.show.figures.legends import TINTS, check_tints, legend
from companion.show.figures.svg import MONO, Figure, Number, svg, text
from companion.show.tables import amount

TOP, SHARE = 24, 22  # where the first share's row begins, from row to row
WIDTH, ROW, BAR = 340, 44, 18


def bars(labels: Sequence[str], panels: Mapping[str, Tensor], caption: str) -> Figure:
    """A bar for each label's share (labels,) of a whole, a panel for each name, all to one
    scale. A share of 0 has no bar.
    """
    widest = 96 if len(panels) > 1 else 180
    scale = widest / max(shares.max().item() for shares in panels.values())
    drawn, told = [], []
    for name, shares in panels.items():
        words = [percent(share) for share in shares.tolist()]
        pairs = zip(labels, words, strict=True)
        told.append(f"{name}: {', '.join(f'{label} {word}' for label, word in pairs)}")
        drawn.append(share_panel(name, labels, shares, scale, widest, told[-1]))
    return Figure(tuple(drawn), "; ".join(told), caption)


def share_panel(
    name: str,
    labels: Sequence[str],
    shares: Tensor,
    scale: float,
    widest: Number,
    alt: str,
) -> str:
    """The bars of one panel under its name, each with its share behind it."""
    left = 10 + 8 * max(map(len, labels))
    body = [text(left, 10, name, anchor="start", size=13)]
    for i, (label, share) in enumerate(zip(labels, shares.tolist(), strict=True)):
        y, wide = TOP + i * SHARE, round(scale * share, 1)
        body.append(text(left - 6, y + 9, label, anchor="end", size=12, extra=MONO))
        if share > 0:
            body.append(box(left, y, max(wide, 0.5), 18, tint=TINTS[1]))
        behind = left + wide + 5
        body.append(text(behind, y + 9, percent(share), anchor="start", size=12))
    return svg(left + widest + 40, TOP + SHARE * len(labels), "".join(body), alt)


def percent(share: float) -> str:
    """Whole percents, and what is less than one but not nothing."""
    if 0 < share < 0.01:
        return "<1%"
    return f"{100 * share:.0f}%" if share else "0"


def stacked_bars(
    rows: Mapping[str, Sequence[Number]],
    parts: Sequence[str],
    *,
    unit: str,
    caption: str,
) -> Figure:
    """A bar for each named row, its parts side by side; the sum stands above its end.

    Raises: ValueError for more parts than there are tints, and for a row without one.
    """
    check_tints(len(parts), "parts")
    if wrong := [name for name, sizes in rows.items() if len(sizes) != len(parts)]:
        raise ValueError(f"{', '.join(wrong)}: give a size for each of {list(parts)}")
    alt = in_words(rows, parts, unit)
    largest = max(map(sum, rows.values()))
    body = [legend(parts)]
    for i, (name, sizes) in enumerate(rows.items()):
        top, left = 34 + i * ROW, 0.0
        body.append(text(0, top, name, anchor="start", size=13))
        total = amount(round(sum(sizes)), unit)
        body.append(text(WIDTH, top, total, anchor="end", size=13))
        for size, tint in zip(sizes, TINTS, strict=False):
            width = round(WIDTH * size / largest, 1)
            if width:
                body.append(box(left, top + 10, width, BAR, tint=tint))
            left += width
    height = 34 + len(rows) * ROW
    return Figure((svg(WIDTH, height, "".join(body), alt),), alt, caption)


def in_words(
    rows: Mapping[str, Sequence[Number]], parts: Sequence[str], unit: str
) -> str:
    """The figure in words: every part of every bar."""
    told = []
    for name, sizes in rows.items():
        each = zip(parts, sizes, strict=True)
        inside = ", ".join(f"{part} {amount(round(size), unit)}" for part, size in each)
        told.append(f"{name}: {inside}")
    return "; ".join(told)
