"""Horizontal bars made of parts, one under the other on a common scale."""

from collections.abc import Mapping, Sequence

from companion.show.amounts import amount
from companion.show.plots import COLORS
from companion.show.svg import Figure, Number, box, svg, text

WIDTH, ROW, BAR = 340, 44, 18


def stacked_bars(
    rows: Mapping[str, Sequence[Number]],
    parts: Sequence[str],
    *,
    unit: str,
    caption: str,
) -> Figure:
    """A bar for each named row, its parts side by side; the sum stands above its end.

    Raises: ValueError for more parts than there are colors, and for a row without one.
    """
    if len(parts) > len(COLORS):
        raise ValueError(
            f"{len(parts)} parts: one bar takes at most {len(COLORS)}, which can still "
            "be told apart"
        )
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
        for size, color in zip(sizes, COLORS, strict=False):
            width = round(WIDTH * size / largest, 1)
            if width:
                body.append(box(left, top + 10, width, BAR, opacity=0.55, color=color))
            left += width
    height = 34 + len(rows) * ROW
    return Figure((svg(WIDTH, height, "".join(body), alt),), alt, caption)


def legend(parts: Sequence[str]) -> str:
    """Each part's color and name, side by side."""
    left, drawn = 0.0, []
    for part, color in zip(parts, COLORS, strict=False):
        drawn.append(box(left, 4, 12, 12, opacity=0.55, color=color))
        drawn.append(text(left + 17, 10, part, anchor="start", size=12))
        left += 17 + 6.4 * len(part) + 14
    return "".join(drawn)


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
