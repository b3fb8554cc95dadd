"""Attention weights and masks, a cell for each query and key."""

from collections.abc import Sequence

from torch import Tensor

from companion.show.figures.svg import Figure, box, cell, svg, text

CELL = 30
FEW = 6  # keys whose cells have room for a number


def weights_figure(
    weights: Tensor,
    queries: Sequence[str],
    keys: Sequence[str],
    caption: str,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Attention weights (heads, q_len, kv_len) or one head's (q_len, kv_len): a row
    for each query, darker is more.

    Numbers stand in the cells where there is room for them.
    """
    heads = weights[None] if weights.ndim == 2 else weights
    panels = tuple(
        weights_panel(head, queries, keys, name)
        for head, name in zip(heads.double(), names or [""] * len(heads), strict=True)
    )
    several = f" of {len(heads)} heads" if len(heads) > 1 else ""
    return Figure(panels, f"Attention weights{several}", caption)


def weights_panel(
    head: Tensor, queries: Sequence[str], keys: Sequence[str], title: str
) -> str:
    """The weights of one head."""
    rows, columns = head.shape
    numbered = columns <= FEW
    wide, high = (56, 36) if numbered else (26, 26)
    left = 10 + 8 * max(map(len, queries))
    top = 30 + (20 if numbered else 7 * max(map(len, keys)))
    body = [text(left + columns * wide / 2, 10, title, size=13)]
    for j, key in enumerate(keys):
        x = left + (j + 0.5) * wide
        if numbered:
            body.append(text(x, top - 12, key, size=12))
        else:
            turned = f'transform="rotate(-90 {x:g} {top - 6:g})"'
            body.append(text(x, top - 6, key, anchor="start", size=12, extra=turned))
    for i, (query, row) in enumerate(zip(queries, head.tolist(), strict=True)):
        y = top + i * high
        body.append(text(left - 6, y + high / 2, query, anchor="end", size=12))
        for j, weight in enumerate(row):
            x, opacity = left + j * wide, 0.6 * round(weight, 2)
            body.append(
                cell(x, y, wide, high, f"{weight:.2f}", opacity=opacity, size=13)
                if numbered
                else box(x, y, wide, high, opacity=opacity)
            )
    alt = f"{title or 'attention weights'}: {rows} queries by {columns} keys"
    size = left + columns * wide + 2, top + rows * high + 2
    return svg(*size, "".join(body), alt)


def mask_figure(masks: Sequence[tuple[str, Tensor]], caption: str) -> Figure:
    """Bool masks (q_len, kv_len) side by side: a filled cell may be attended, an
    empty one may not.
    """
    panels = tuple(mask_panel(name, mask) for name, mask in masks)
    names = ", ".join(name for name, _ in masks)
    return Figure(panels, f"Masks: {names}", caption)


def mask_panel(name: str, mask: Tensor) -> str:
    """One mask under its name and shape."""
    rows, columns = mask.shape
    width = max(columns * CELL + 2, 9 * len(name) + 60)
    left = (width - columns * CELL) / 2
    body = [text(width / 2, 10, f"{name}  ({rows}, {columns})", size=13)]
    for i, row in enumerate(mask.tolist()):
        for j, seen in enumerate(row):
            x, y, label = left + j * CELL, 24 + i * CELL, "1" if seen else "·"
            body.append(cell(x, y, CELL, CELL, label, opacity=0.45 * seen, size=13))
    alt = f"{name}: " + "; ".join(
        "".join("1" if seen else "0" for seen in row) for row in mask.tolist()
    )
    return svg(width, 26 + rows * CELL, "".join(body), alt)
