"""Attention weights and masks, a cell for each query and key."""

from collections.abc import Sequence

from torch import Tensor

from companion.show.figures.svg import Figure, box, svg, text


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
    small = heads.shape[-1] > 6
    cell, row = (26, 26) if small else (56, 36)
    left = 10 + 8 * max(len(label) for label in queries)
    top = 30 + (7 * max(len(label) for label in keys) if small else 20)
    panels = []
    for h, head in enumerate(heads.double()):
        title = names[h] if names else ""
        body = [text(left + head.shape[1] * cell / 2, 10, title, size=13)]
        for j, label in enumerate(keys):
            x = left + (j + 0.5) * cell
            turned = f'transform="rotate(-90 {x:g} {top - 6:g})"' if small else ""
            body.append(
                text(
                    x,
                    top - (6 if small else 12),
                    label,
                    anchor="start" if small else "middle",
                    size=12,
                    extra=turned,
                )
            )
        for i, label in enumerate(queries):
            body.append(
                text(left - 6, top + (i + 0.5) * row, label, anchor="end", size=12)
            )
            for j in range(head.shape[1]):
                value = round(head[i, j].item(), 2)
                body.append(
                    box(left + j * cell, top + i * row, cell, row, opacity=0.6 * value)
                )
                if not small:
                    body.append(
                        text(
                            left + (j + 0.5) * cell,
                            top + (i + 0.5) * row,
                            f"{value:.2f}",
                            size=13,
                        )
                    )
        width, height = left + head.shape[1] * cell + 2, top + head.shape[0] * row + 2
        alt = f"{title or 'attention weights'}: {head.shape[0]} queries by {head.shape[1]} keys"
        panels.append(svg(width, height, "".join(body), alt))
    return Figure(
        tuple(panels),
        f"Attention weights of {len(heads)} heads"
        if len(heads) > 1
        else "Attention weights",
        caption,
    )


def mask_figure(masks: Sequence[tuple[str, Tensor]], caption: str) -> Figure:
    """Bool masks (q_len, kv_len) side by side: a filled cell may be attended, an
    empty one may not.
    """
    panels = []
    for name, mask in masks:
        rows, columns = mask.shape
        cell = 30
        width = max(columns * cell + 2, 9 * len(name) + 60)
        left = (width - columns * cell) / 2
        body = [text(width / 2, 10, f"{name}  ({rows}, {columns})", size=13)]
        for i in range(rows):
            for j in range(columns):
                seen = bool(mask[i, j])
                body.append(
                    box(
                        left + j * cell,
                        24 + i * cell,
                        cell,
                        cell,
                        opacity=0.45 if seen else 0,
                    )
                )
                body.append(
                    text(
                        left + (j + 0.5) * cell,
                        24 + (i + 0.5) * cell,
                        "1" if seen else "·",
                        size=13,
                    )
                )
        alt = f"{name}: " + "; ".join(
            "".join("1" if seen else "0" for seen in row) for row in mask.tolist()
        )
        panels.append(
            svg(
                width,
                26 + rows * cell,
                "".join(body),
                alt,
            )
        )
    return Figure(
        tuple(panels), "Masks: " + ", ".join(name for name, _ in masks), caption
    )
