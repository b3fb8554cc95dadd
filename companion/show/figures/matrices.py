"""Pictures of tensors, drawn from their values as SVG that follows the page's text
color.

Each function returns a `Figure`, which a notebook shows inline; nothing is drawn by
hand.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from companion.show.figures.svg import ACCENT, SECOND, Figure, Number, cell, svg, text

CELL = 40
ROW = 30


def number(value: Number) -> str:
    """A value in as few characters as it needs: 3, 0.36, -1.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def matrix(
    x: Number,
    y: Number,
    values: Tensor,
    name: str,
    *,
    color: str = ACCENT,
    highlight: int | None = None,
) -> str:
    """A matrix as a grid of numbers under its name and shape; stronger cells are
    larger values.
    """
    rows, columns = values.shape
    largest = max(values.abs().max().item(), 1e-9)
    parts = [
        text(x + columns * CELL / 2, y + 10, f"{name}  ({rows}, {columns})", size=13)
    ]
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            left, top = x + j * CELL, y + 24 + i * ROW
            strength = 0.08 + 0.34 * abs(value) / largest
            shade = SECOND if i == highlight else color
            parts.append(
                cell(left, top, CELL, ROW, number(value), opacity=strength, color=shade)
            )
    return "".join(parts)


def equation(
    parts: Sequence[tuple[str, Tensor] | str],
    caption: str,
    *,
    highlight: int | None = None,
) -> Figure:
    """Matrices and the signs between them, as they stand in a formula: `[("X", x),
    "@", ("W", w), "=", ("Q", q)]`.
    """
    tallest = max(part[1].shape[0] for part in parts if not isinstance(part, str))
    height, panels, sign = 24 + tallest * ROW + 2, [], ""
    for part in parts:
        if isinstance(part, str):
            sign = part
            continue
        name, values = part
        left = 30 if sign else 1
        body = [text(11, 24 + tallest * ROW / 2, sign, size=16)] if sign else []
        width = max(values.shape[1] * CELL, 8 * len(f"{name}  (0, 0)"))
        inset = (width - values.shape[1] * CELL) / 2
        top = (tallest - values.shape[0]) * ROW / 2
        rows = highlight if values.shape[0] == parts_rows(parts) else None
        body.append(matrix(left + inset, top, values, name, highlight=rows))
        label = f"{sign} {name} {tuple(values.shape)}".strip()
        panels.append(svg(left + width + 1, height, "".join(body), label))
    words = " ".join(
        part if isinstance(part, str) else f"{part[0]} {tuple(part[1].shape)}"
        for part in parts
    )
    alt = f"{words}, each matrix with its numbers"
    return Figure(tuple(panels), alt, caption)


def parts_rows(parts: Sequence[tuple[str, Tensor] | str]) -> int:
    """Rows of the first matrix of an equation: the matrices that share them are
    highlighted with it.
    """
    return next(part[1].shape[0] for part in parts if not isinstance(part, str))


def grid_of_products(a: Tensor, b: Tensor, caption: str) -> Figure:
    """(j, 1, n, m) @ (k, m, p): which matrix of `a` meets which of `b` in each
    cell of the (j, k) result.
    """
    if a.ndim != 4 or a.shape[1] != 1 or b.ndim != 3:
        raise ValueError(
            f"a is {tuple(a.shape)} and b {tuple(b.shape)}: the grid needs (j, 1, n, "
            "m) and (k, m, p)"
        )
    rows, columns = a.shape[0], b.shape[0]
    product = torch.matmul(a, b)
    wide, high, left, top = 96, 40, 92, 46
    title = f"result {tuple(product.shape)}"
    body = [text(left + columns * wide / 2, 10, title, size=13)]
    for k in range(columns):
        body.append(text(left + (k + 0.5) * wide, 34, f"b[{k}]", size=13))
    for j in range(rows):
        y = top + j * high
        body.append(text(left - 8, y + high / 2, f"a[{j}, 0]", anchor="end", size=13))
        for k in range(columns):
            torch.testing.assert_close(product[j, k], a[j, 0] @ b[k])
            x, label = left + k * wide, f"a[{j}, 0] @ b[{k}]"
            shade = 0.12 + 0.1 * ((j + k) % 2)
            body.append(cell(x, y, wide, high, label, opacity=shade, size=12))
    alt = f"{rows} by {columns} cells; row j, column k holds a[j, 0] @ b[k]"
    size = left + columns * wide + 2, top + rows * high + 2
    return Figure((svg(*size, "".join(body), alt),), alt, caption)
