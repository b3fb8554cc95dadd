"""Pictures of tensors, drawn from their values as SVG that follows the page's text color.

Each function returns a `Figure`, which a notebook shows inline; nothing is drawn by hand.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ACCENT = "#2f7fd1"
SECOND = "#d9822b"
SIDE_BY_SIDE = (
    "display:flex;flex-wrap:wrap;gap:1.5rem;align-items:flex-start;justify-content:center"
)
CELL = 40
ROW = 30


@dataclass(frozen=True)
class Figure:
    """SVG panels side by side (under one another on a phone), a text that says what they show,
    and a caption.
    """

    panels: tuple[str, ...]
    alt: str
    caption: str

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        body = "".join(self.panels)
        if len(self.panels) > 1:
            body = f'<div style="{SIDE_BY_SIDE}">{body}</div>'
        return (
            '<figure class="companion-figure" role="group" '
            f'aria-label="{html.escape(self.alt, quote=True)}">{body}'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def svg(width: float, height: float, body: str, alt: str) -> str:
    """An SVG of that size in pixels, shrinking with the page, named for screen readers."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" '
        f'height="{height:g}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="{html.escape(alt, quote=True)}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="currentColor">{body}</svg>'
    )


def text(
    x: float, y: float, content: str, *, anchor: str = "middle", size: float = 14, extra: str = ""
) -> str:
    """One line of text, centered at its point unless `anchor` says otherwise."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'dominant-baseline="central" {extra}>'
        f"{html.escape(content)}</text>"
    )


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    opacity: float = 0.0,
    color: str = ACCENT,
    radius: float = 0,
) -> str:
    """A rectangle with a thin outline, filled as strongly as `opacity` says."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
        f'fill="{color}" '
        f'fill-opacity="{opacity:.2f}" stroke="currentColor" stroke-opacity="0.35"/>'
    )


def number(value: float) -> str:
    """A value in as few characters as it needs: 3, 0.36, -1.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def matrix(
    x: float,
    y: float,
    values: Tensor,
    name: str,
    *,
    color: str = ACCENT,
    highlight: int | None = None,
) -> str:
    """A matrix as a grid of numbers under its name and shape; stronger cells are larger values."""
    rows, columns = values.shape
    largest = max(values.abs().max().item(), 1e-9)
    parts = [text(x + columns * CELL / 2, y + 10, f"{name}  ({rows}, {columns})", size=13)]
    for i in range(rows):
        for j in range(columns):
            value = values[i, j].item()
            strength = 0.08 + 0.34 * abs(value) / largest
            left, top = x + j * CELL, y + 24 + i * ROW
            parts.append(
                box(
                    left,
                    top,
                    CELL,
                    ROW,
                    opacity=strength,
                    color=SECOND if i == highlight else color,
                )
            )
            parts.append(text(left + CELL / 2, top + ROW / 2, number(value)))
    return "".join(parts)


def equation(
    parts: Sequence[tuple[str, Tensor] | str], caption: str, *, highlight: int | None = None
) -> Figure:
    """Matrices and the signs between them, as they stand in a formula: `[("X", x), "@", ("W",
    w), "=", ("Q", q)]`.
    """
    tallest = max(part[1].shape[0] for part in parts if not isinstance(part, str))
    height, x, body = 24 + tallest * ROW + 2, 1.0, []
    for part in parts:
        if isinstance(part, str):
            body.append(text(x + 15, 24 + tallest * ROW / 2, part, size=16))
            x += 30
            continue
        name, values = part
        width = max(values.shape[1] * CELL, 8 * len(f"{name}  (0, 0)"))
        inset = (width - values.shape[1] * CELL) / 2
        top = (tallest - values.shape[0]) * ROW / 2
        rows = highlight if values.shape[0] == parts_rows(parts) else None
        body.append(matrix(x + inset, top, values, name, highlight=rows))
        x += width
    words = " ".join(
        part if isinstance(part, str) else f"{part[0]} {tuple(part[1].shape)}" for part in parts
    )
    alt = f"{words}, each matrix with its numbers"
    return Figure((svg(x + 1, height, "".join(body), alt),), alt, caption)


def parts_rows(parts: Sequence[tuple[str, Tensor] | str]) -> int:
    """Rows of the first matrix of an equation: the matrices that share them are highlighted with
    it.
    """
    return next(part[1].shape[0] for part in parts if not isinstance(part, str))


def weights_figure(
    weights: Tensor,
    queries: Sequence[str],
    keys: Sequence[str],
    caption: str,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Attention weights (heads, q_len, kv_len) or one head's (q_len, kv_len): a row for each query,
    darker is more.

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
            body.append(text(left - 6, top + (i + 0.5) * row, label, anchor="end", size=12))
            for j in range(head.shape[1]):
                value = round(head[i, j].item(), 2)
                body.append(box(left + j * cell, top + i * row, cell, row, opacity=0.6 * value))
                if not small:
                    body.append(
                        text(
                            left + (j + 0.5) * cell, top + (i + 0.5) * row, f"{value:.2f}", size=13
                        )
                    )
        width, height = left + head.shape[1] * cell + 2, top + head.shape[0] * row + 2
        alt = f"{title or 'attention weights'}: {head.shape[0]} queries by {head.shape[1]} keys"
        panels.append(svg(width, height, "".join(body), alt))
    return Figure(
        tuple(panels),
        f"Attention weights of {len(heads)} heads" if len(heads) > 1 else "Attention weights",
        caption,
    )


def mask_figure(masks: Sequence[tuple[str, Tensor]], caption: str) -> Figure:
    """Bool masks (q_len, kv_len) side by side: a filled cell may be attended, an empty one may
    not.
    """
    panels = []
    for name, mask in masks:
        rows, columns = mask.shape
        cell = 30
        body = [text(columns * cell / 2 + 1, 10, f"{name}  ({rows}, {columns})", size=13)]
        for i in range(rows):
            for j in range(columns):
                seen = bool(mask[i, j])
                body.append(
                    box(1 + j * cell, 24 + i * cell, cell, cell, opacity=0.45 if seen else 0)
                )
                body.append(
                    text(1 + (j + 0.5) * cell, 24 + (i + 0.5) * cell, "1" if seen else "·", size=13)
                )
        alt = f"{name}: " + "; ".join(
            "".join("1" if seen else "0" for seen in row) for row in mask.tolist()
        )
        panels.append(
            svg(max(columns * cell + 2, 9 * len(name) + 60), 26 + rows * cell, "".join(body), alt)
        )
    return Figure(tuple(panels), "Masks: " + ", ".join(name for name, _ in masks), caption)


def bars(labels: Sequence[str], values: Tensor, caption: str, *, alt: str) -> Figure:
    """One horizontal bar for each label, with its value as a percentage."""
    left, widest = 12 + 8 * max(len(label) for label in labels), 180
    largest = values.max().item()
    body = []
    for i, (label, value) in enumerate(zip(labels, values.double().tolist(), strict=True)):
        y = 4 + i * 26
        length = round(widest * value / largest, 1)
        body.append(
            text(
                left - 6, y + 11, label, anchor="end", extra='font-family="ui-monospace, monospace"'
            )
        )
        body.append(box(left, y, length, 22, opacity=0.45))
        body.append(text(left + length + 6, y + 11, f"{100 * value:.1f}%", anchor="start", size=12))
    return Figure(
        (svg(left + widest + 60, 8 + 26 * len(labels), "".join(body), alt),), alt, caption
    )


def grid_of_products(a: Tensor, b: Tensor, caption: str) -> Figure:
    """(j, 1, n, m) @ (k, m, p): which matrix of `a` meets which of `b` in each cell of the (j,
    k) result.
    """
    rows, columns = a.shape[0], b.shape[0]
    product = torch.matmul(a, b)
    cell, high, left, top = 96, 40, 92, 46
    body = [text(left + columns * cell / 2, 10, f"result {tuple(product.shape)}", size=13)]
    for k in range(columns):
        body.append(text(left + (k + 0.5) * cell, 34, f"b[{k}]", size=13))
    for j in range(rows):
        body.append(text(left - 8, top + (j + 0.5) * high, f"a[{j}, 0]", anchor="end", size=13))
        for k in range(columns):
            assert torch.equal(product[j, k], a[j, 0] @ b[k])
            body.append(
                box(left + k * cell, top + j * high, cell, high, opacity=0.12 + 0.1 * ((j + k) % 2))
            )
            body.append(
                text(
                    left + (k + 0.5) * cell, top + (j + 0.5) * high, f"a[{j}, 0] @ b[{k}]", size=12
                )
            )
    alt = (
        f"A grid of {rows} by {columns} cells; the cell in row j and column k holds a[j, 0] @ b[k]"
    )
    return Figure(
        (svg(left + columns * cell + 2, top + rows * high + 2, "".join(body), alt),), alt, caption
    )
