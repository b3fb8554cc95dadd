"""Tensors made small: a few cells for many values, and how they get into a page."""

import base64
import struct
import zlib

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEVELS = 127  # of either sign


def pooled(
    values: Float[Tensor, "rows columns"], rows: int = 16, columns: int = 16
) -> Float[Tensor, "_ _"]:
    """At most `rows` × `columns` cells: of the values that share a cell the one of the
    largest size, so that what stands out is not averaged away.
    """
    for dim, cells in ((0, rows), (1, columns)):
        parts = values.tensor_split(min(cells, values.shape[dim]), dim)
        values = torch.cat([largest(part, dim) for part in parts], dim)
    return values


def largest(values: Tensor, dim: int) -> Tensor:
    """Along an axis the value of the largest size, with its sign."""
    return values.gather(dim, values.abs().argmax(dim, keepdim=True))


def levels(values: Tensor, full: float | int) -> Int[Tensor, "..."]:
    """Whole numbers from -127 to 127, which `full` and beyond are; masked scores, which
    are -inf, are -128.
    """
    scaled = (values / (full or 1)).clamp(-1, 1).mul(LEVELS).round()
    return torch.where(values.isneginf(), -LEVELS - 1, scaled).to(torch.int8)


def packed(cells: Int[Tensor, "..."]) -> str:
    """Levels as text, one byte a cell."""
    return base64.b64encode(cells.numpy().tobytes()).decode()


def image(cells: Int[Tensor, "rows columns"]) -> str:
    """Levels as the address of a picture in gray: 128 is zero, as PNG."""
    gray = (cells.to(torch.int16) + LEVELS + 1).to(torch.uint8).numpy()
    high, wide = gray.shape
    lines = b"".join(b"\0" + row.tobytes() for row in gray)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
