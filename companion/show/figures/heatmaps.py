"""Attention weights and masks, a cell for each query and key."""

from collections.abc import Sequence

from torch import Tensor

from companion.show.figures.frames import box, masked, value_cell
from companion.show.figures.legends import TINTS, scale
from companion.show.figures.lines import side
from companion.show.figures.shapes import shape_text
from companion.show.figures.svg import Figure, Number, svg, text

CELL, WIDEST = 30, 340  # a mask's cell; a panel
FEW = 6  # keys whose cells have room for a number
AXES = ("q_len", "kv_len")


def weights_figure(
    weights: Tensor,
    queries: Sequence[str],
    keys: Sequence[str],
    caption: str,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Attention weights (heads, q_len, kv_len) or one head's (q_len, kv_len): a row
    for each query, all on one scale; a weight of 0 is crossed out.

    Numbers stand in the cells where there is room for them.
    """
    heads = weights[None] if weights.ndim == 2 else weights
    largest = heads.max().item()
    panels = tuple(
        weights_panel(head, queries, keys, name, largest)
        for head, name in zip(heads.double(), names or [""] * len(heads), strict=True)
    )
    several = f" of {len(heads)} heads" if len(heads) > 1 else ""
    alt = f"Attention weights{several}"
    return Figure(panels, alt, caption, scale(largest, signed=False))


def weights_panel(
    head: Tensor,
    queries: Sequence[str],
    keys: Sequence[str],
    title: str,
    largest: Number,
) -> str:
    """The weights of one head."""
    rows, columns = head.shape
    numbered = columns <= FEW
    left = 12 + 8 * max(map(len, queries))
    wide = 48 if numbered else min(26, (WIDEST - left) // columns)
    high = 34 if numbered else wide
    top = 34 + (20 if numbered else 7 * max(map(len, keys)))
    body = [heading(left, title, (rows, columns))]
    body += key_names(left, top, wide, keys, turned=not numbered)
    body += sides(left, top, columns * wide, rows * high)
    for i, (query, row) in enumerate(zip(queries, head.tolist(), strict=True)):
        y = top + i * high
        body.append(text(left - 9, y + high / 2, query, anchor="end", size=12))
        for j, weight in enumerate(row):
            place = left + j * wide, y, wide, high
            label = f"{weight:.2f}" if numbered else ""
            body.append(
                value_cell(*place, weight, largest, label, size=13)
                if weight
                else masked(*place)
            )
    alt = (
        f"{title or 'attention weights'}: {rows} queries by {columns} keys; "
        + "; ".join(
            f"{query} most {keys[row.argmax()]}, {100 * row.max():.0f}%"
            for query, row in zip(queries, head, strict=True)
        )
    )
    words = 9 * len(f"{title} ({rows}, {columns})") + 12
    size = left + max(columns * wide + 2, words), top + rows * high + 2
    return svg(*size, "".join(body), alt)


def key_names(
    left: Number, top: Number, wide: Number, keys: Sequence[str], *, turned: bool
) -> list[str]:
    """A name above each column, on its side where columns are narrow."""
    drawn = []
    for j, key in enumerate(keys):
        x = left + (j + 0.5) * wide
        if turned:
            extra = f'transform="rotate(-90 {x:g} {top - 9:g})"'
            drawn.append(text(x, top - 9, key, anchor="start", size=12, extra=extra))
        else:
            drawn.append(text(x, top - 14, key, size=12))
    return drawn


def mask_figure(masks: Sequence[tuple[str, Tensor]], caption: str) -> Figure:
    """Bool masks (q_len, kv_len) side by side: a filled cell may be attended, one that is
    crossed out may not.
    """
    panels = tuple(mask_panel(name, mask) for name, mask in masks)
    names = ", ".join(f"{name} {tuple(mask.shape)}" for name, mask in masks)
    return Figure(panels, f"Masks: {names}", caption)


def mask_panel(name: str, mask: Tensor) -> str:
    """One mask under its name and shape."""
    rows, columns = mask.shape
    left, top = 6, 32
    body = [heading(left, name, (rows, columns))]
    body += sides(left, top, columns * CELL, rows * CELL)
    for i, row in enumerate(mask.tolist()):
        for j, seen in enumerate(row):
            place = left + j * CELL, top + i * CELL, CELL, CELL
            body.append(box(*place, tint=TINTS[2]) if seen else masked(*place))
            if seen:
                body.append(
                    text(place[0] + CELL / 2, place[1] + CELL / 2, "1", size=13)
                )
    alt = f"{name}: {rows} queries by {columns} keys; " + "; ".join(
        f"query {i} sees {in_ranges(row)}" for i, row in enumerate(mask.tolist())
    )
    width = left + max(columns * CELL + 2, 8 * len(f"{name} ({rows}, {columns})") + 20)
    return svg(width, top + 2 + rows * CELL, "".join(body), alt)


def in_ranges(seen: Sequence[bool]) -> str:
    """The keys that may be attended, in words: "keys 0, 2 to 4"."""
    keys = [j for j, may in enumerate(seen) if may]
    starts = [j for j in keys if j - 1 not in keys]
    ends = [j for j in keys if j + 1 not in keys]
    pairs = zip(starts, ends, strict=True)
    spans = [f"{a} to {b}" if b > a else f"{a}" for a, b in pairs]
    return f"key{'s' * (len(keys) > 1)} {', '.join(spans)}" if keys else "no key"


def heading(left: Number, name: str, shape: tuple[int, int]) -> str:
    """The name of a panel, and its shape in letters."""
    return shape_text(left, 10, shape, AXES, before=name, size=13)


def sides(left: Number, top: Number, wide: Number, high: Number) -> list[str]:
    """Queries down, keys across."""
    return [
        side(left - 4, top, high, "q_len", down=True),
        side(left, top - 4, wide, "kv_len"),
    ]
