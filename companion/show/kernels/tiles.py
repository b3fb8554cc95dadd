"""Which tiles of the score matrix an attention computes, and in which order: read off
a run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from companion.show.figures.frames import box, frame, masked
from companion.show.figures.legends import TINTS
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, svg, text
from companion.show.look.palette import ACTIVATIONS

CELL = 26
TOP, LEFT = 46, 26
HALO = f'paint-order="stroke" stroke="{ACTIVATIONS}" stroke-width="3"'
PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.bmm.default}


@dataclass(frozen=True)
class Tile:
    """The scores of some neighboring queries and keys, computed in one product."""

    queries: range
    keys: range

    def cells(self) -> list[tuple[int, int]]:
        """Every (query, key) of it."""
        return [(i, j) for i in self.queries for j in self.keys]


class Products(TorchDispatchMode):
    """Keeps the result of every matrix product that runs, copied before anything
    writes into it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in PRODUCTS:
            self.results.append(result.clone())
        return result


def record_tiles(
    attend: Callable[..., Tensor], length: int, **options: Any
) -> list[Tile]:
    """Run causal attention over `length` tokens and list the tiles of scores that it
    computes, in order.

    Query i is (i, 1) and key j is (1, length · j), so that a score i + length · j
    tells which two met, however they were cut, copied or folded. The values are NaN,
    and so is every product with them: what is left are scores.

    Raises: ValueError when no product is seen, as inside a fused kernel, or one that
    is no tile of these scores.
    """
    numbers = torch.arange(float(length))
    query = torch.stack((numbers, torch.ones(length)), dim=-1)
    key = torch.stack((torch.ones(length), length * numbers), dim=-1)
    value = torch.full((length, 2), torch.nan)
    inputs = [x[None, None] for x in (query, key, value)]
    with Products() as products, torch.no_grad():
        attend(*inputs, is_causal=True, scale=1.0, **options)
    tiles = [met(x, length) for x in products.results if not x.isnan().any()]
    if not tiles:
        raise ValueError(
            f"{name_of(attend)} computed no scores by torch.matmul: what runs inside one "
            "kernel cannot be seen; pass an attention made of tensor operations"
        )
    return tiles


def met(scores: Tensor, length: int) -> Tile:
    """The queries and keys whose scores these are."""
    codes = scores.unique()
    queries, keys = codes.long() % length, codes.long() // length
    tile = Tile(
        range(int(queries.min()), int(queries.max()) + 1),
        range(int(keys.min()), int(keys.max()) + 1),
    )
    if sorted(i + length * j for i, j in tile.cells()) != codes.tolist():
        raise ValueError(
            f"a product of shape {tuple(scores.shape)} holds other numbers than the "
            "scores of neighboring queries and keys: does the attention use scale=1.0?"
        )
    return tile


def name_of(attend: Callable[..., Tensor]) -> str:
    """What a function is called."""
    return getattr(attend, "__name__", repr(attend))


def tiles_figure(
    runs: Sequence[tuple[str, Sequence[Tile]]], length: int, caption: str
) -> Figure:
    """The score matrix of each run, queries down and keys across: a name, and its
    tiles in order.

    Each tile holds the number of its step. A filled cell is a score that a query
    uses, one that is crossed out was computed and masked out; the rest is empty.
    """
    panels, counts = [], []
    for name, tiles in runs:
        body = [text(LEFT + length * CELL / 2, 10, name, size=13), axes(length)]
        body += [drawn(step, tile) for step, tile in enumerate(tiles, start=1)]
        cells = [cell for tile in tiles for cell in tile.cells()]
        used = sum(j <= i for i, j in cells)
        counts.append(
            f"{name}: {len(cells)} of {length**2} scores computed in {len(tiles)} "
            f"{'step' if len(tiles) == 1 else 'steps'}, {used} used"
        )
        size = length * CELL + 2
        panels.append(svg(LEFT + size, TOP + size, "".join(body), counts[-1]))
    return Figure(tuple(panels), "; ".join(counts), caption)


def axes(length: int) -> str:
    """The numbers of keys and queries, and the outline of the whole matrix."""
    parts = [
        box(LEFT, TOP, length * CELL, length * CELL),
        side(LEFT, TOP - 4, length * CELL, "kv_len"),
        side(LEFT - 4, TOP, length * CELL, "q_len", down=True),
    ]
    for n in range(length):
        place = (n + 0.5) * CELL
        parts.append(text(LEFT + place, TOP - 15, str(n), size=12))
        parts.append(text(LEFT - 15, TOP + place, str(n), size=12))
    return "".join(parts)


def drawn(step: int, tile: Tile) -> str:
    """One tile: its cells, its outline and its step."""
    x, y = LEFT + tile.keys.start * CELL, TOP + tile.queries.start * CELL
    width, height = len(tile.keys) * CELL, len(tile.queries) * CELL
    cells = []
    for i, j in tile.cells():
        place = LEFT + j * CELL, TOP + i * CELL, CELL, CELL
        tint = TINTS[1] if step % 2 else TINTS[2]
        cells.append(box(*place, tint=tint) if j <= i else masked(*place))
    number = text(x + width / 2, y + height / 2, str(step), size=15, extra=HALO)
    return "".join(cells) + frame(x, y, width, height) + number
