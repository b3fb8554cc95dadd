"""A matrix in a GPU's memory: where it begins, how it lies there, and how much there is.

A kernel is given a tensor as the address of its first element. Distances from there to a
row of a long text outgrow 32 bits, so each function goes to the first row of a tile in 64;
within a tile 32 are enough.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from companion.fast.kernels.language import rounded


class Matrix(NamedTuple):
    """The two last axes of a tensor, at one place of the others."""

    first: Any  # the address of its first element
    strides: Any  # elements from one row to the next, and from one column to the next
    rows: Any  # how many there are
    columns: Any


@triton.jit
def matrix_of(x, strides, batch, head, rows, columns):
    """One head of a tensor with four axes."""
    first = x + batch * strides[0] + head * strides[1]
    return Matrix(first, (strides[2], strides[3]), rows, columns)


@triton.jit
def from_row(matrix, row):
    """The address of the first element of a row, anywhere in memory."""
    return matrix.first + tl.cast(row, tl.int64) * matrix.strides[0]


@triton.jit
def places(strides, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """How far each element of a tile is from the tile's first."""
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    return rows[:, None] * strides[0] + columns[None] * strides[1]


@triton.jit
def load_rows(
    matrix, start, ROWS: tl.constexpr, COLUMNS: tl.constexpr, EDGE: tl.constexpr
):
    """`ROWS` rows from row `start` on, in full width; zeros beyond the last column, and
    beyond the last row where the tile may reach it (`EDGE`).
    """
    place = from_row(matrix, start) + places(matrix.strides, ROWS, COLUMNS)
    rows, columns = start + tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    if EDGE:
        inside = (rows < matrix.rows)[:, None] & (columns < matrix.columns)[None]
        tile = tl.load(place, mask=inside, other=0.0)
    elif matrix.columns < COLUMNS:
        tile = tl.load(place, mask=(columns < matrix.columns)[None], other=0.0)
    else:
        tile = tl.load(place)
    return tile


@triton.jit
def store_rows(matrix, start, tile):
    """Write a tile to the rows from `start` on, of those that there are."""
    place = from_row(matrix, start)
    place += places(matrix.strides, tile.shape[0], tile.shape[1])
    rows, columns = start + tl.arange(0, tile.shape[0]), tl.arange(0, tile.shape[1])
    inside = (rows < matrix.rows)[:, None] & (columns < matrix.columns)[None]
    tl.store(place, rounded(tile, matrix.first.dtype.element_ty), mask=inside)
