"""Pictures of tensors, drawn from their values as SVG that follows the page.

Each function returns a `Figure`, which a notebook shows inline; nothing is drawn by
hand.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from companion.show.figures.frames import box, frame, tensor_box, value_cell
from companion.show.figures.legends import TINTS, scale
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, Number, svg, text

# Rows and columns of what the book always calls by these names.
AXES = {
    "X": ("q_len", "hidden"),
    **dict.fromkeys(("W_q", "W_k", "W_v"), ("hidden", "head_dim")),
    "Q": ("q_len", "head_dim"),
    **dict.fromkeys(("K", "V"), ("kv_len", "head_dim")),
    "Kᵀ": ("head_dim", "kv_len"),
    **dict.fromkeys(("scores", "weights"), ("q_len", "kv_len")),
}
CELL, ROW = 40, 30
HEAD, SIDE = 36, 26  # room for the name and the size across, for the size down


def number(value: Number) -> str:
    """A value in as few characters as it needs: 3, 0.36, -1.5."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def matrix(
    x: Number,
    y: Number,
    values: Tensor,
    name: str,
    largest: Number,
    axes: Sequence[str] = (),
    *,
    highlight: int | None = None,
) -> str:
    """A matrix as a grid of numbers under its name, its sides in the colors of its axes;
    fills are signs, as strong as a value is beside the largest. Weights (W...) stand on
    sand.
    """
    rows, columns = values.shape
    wide, high, left, top = columns * CELL, rows * ROW, x + SIDE, y + HEAD
    parts = [text(left, y + 9, name, size=14, anchor="start")]
    if name.startswith("W"):
        parts.append(tensor_box(left - 4, top - 4, wide + 8, high + 8, "weights"))
    for i, row in enumerate(values.tolist()):
        for j, value in enumerate(row):
            place = left + j * CELL, top + i * ROW, CELL, ROW
            parts.append(value_cell(*place, value, largest, number(value)))
    down, across = axes or ("", "")
    parts.append(side(left, top, high, down, rows, down=True))
    parts.append(side(left, top, wide, across, columns))
    if highlight is not None:
        outline = (left, top + highlight * ROW, wide, ROW)
        parts.append(frame(*outline))
    return "".join(parts)


def equation(
    parts: Sequence[tuple[str, Tensor] | str],
    caption: str,
    *,
    axes: Mapping[str, Sequence[str]] | None = None,
    highlight: int | None = None,
) -> Figure:
    """Matrices and the signs between them, as they stand in a formula: `[("X", x),
    "@", ("W", w), "=", ("Q", q)]`. `axes` names rows and columns of what `AXES` does not.
    """
    matrices = [part for part in parts if not isinstance(part, str)]
    largest = max(values.abs().max().item() for _, values in matrices)
    tallest = max(len(values) for _, values in matrices)
    height, panels, sign = HEAD + tallest * ROW + 6, [], ""
    for part in parts:
        if isinstance(part, str):
            sign = part
            continue
        name, values = part
        left = 26 if sign else 1
        middle = HEAD + tallest * ROW / 2
        body = [text(11, middle, sign, size=16)] if sign else []
        top = (tallest - values.shape[0]) * ROW / 2
        rows = highlight if len(values) == len(matrices[0][1]) else None
        along = {**AXES, **(axes or {})}.get(name, ())
        body.append(matrix(left, top, values, name, largest, along, highlight=rows))
        rows_said = "; ".join(", ".join(map(number, row)) for row in values.tolist())
        label = f"{sign} {name} {tuple(values.shape)}: {rows_said}".strip()
        width = left + SIDE + max(values.shape[1] * CELL, 9 * len(name)) + 6
        panels.append(svg(width, height, "".join(body), label))
    words = " ".join(
        part if isinstance(part, str) else f"{part[0]} {tuple(part[1].shape)}"
        for part in parts
    )
    alt = f"{words}, each matrix with its numbers"
    signed = any((values < 0).any() for _, values in matrices)
    return Figure(tuple(panels), alt, caption, scale(largest, signed=bool(signed)))


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
    wide, high, left, top = 68, 44, 62, 46
    title = f"result {tuple(product.shape)}"
    body = [text(left + columns * wide / 2, 10, title, size=13)]
    for k in range(columns):
        body.append(text(left + (k + 0.5) * wide, 34, f"b[{k}]", size=13))
    for j in range(rows):
        y = top + j * high
        body.append(text(left - 8, y + high / 2, f"a[{j}, 0]", anchor="end", size=13))
        for k in range(columns):
            torch.testing.assert_close(product[j, k], a[j, 0] @ b[k])
            x = left + k * wide
            body.append(box(x, y, wide, high, tint=TINTS[3] * ((j + k) % 2)))
            body.append(text(x + wide / 2, y + high / 2 - 8, f"a[{j}, 0]", size=12.5))
            body.append(text(x + wide / 2, y + high / 2 + 9, f"@ b[{k}]", size=12.5))
    alt = f"{rows} by {columns} cells; row j, column k holds a[j, 0] @ b[k]"
    size = left + columns * wide + 2, top + rows * high + 2
    return Figure((svg(*size, "".join(body), alt),), alt, caption)
