"""A triangle of weights for each head of a model, small, in one picture."""

from collections.abc import Sequence
from itertools import groupby

from jaxtyping import Float
from torch import Tensor

from companion.show.figures.svg import svg, text
from companion.show.look.palette import POSITIVE, RULE

ACROSS = 16  # layers beside each other
TINTS = {0.1: 0.3, 0.3: 0.65, 0.6: 1.0}  # from which weight on, how strong


def thumbnails(
    weights: Float[Tensor, "layers heads q_len kv_len"], widest: float = 400
) -> str:
    """A triangle for each head, layers across and heads down, with its stronger weights in
    three tints.
    """
    layers, heads, length, _ = weights.shape
    across, apart = layers_across(layers), length + 2
    bands, deep = -(-layers // across), (heads + 1) * apart
    unit = min(2, widest / (across * apart))
    places = [
        (layer % across * apart, layer // across * deep + head * apart)
        for layer in range(layers)
        for head in range(heads)
    ]
    drawn = triangles(weights.flatten(0, 1), places)
    names = "".join(
        text(
            0,
            band * deep * unit + 8,
            f"layers {first} to {last}",
            anchor="start",
            size=12,
        )
        for band in range(bands)
        for first, last in [(band * across, min(layers, (band + 1) * across) - 1)]
    )
    body = f'<g transform="translate(0 16) scale({unit:.3g})">{drawn}</g>{names}'
    alt = f"{layers * heads} triangles of weights, a layer in each column, a head in each row"
    return svg(across * apart * unit, bands * deep * unit, body, alt)


def triangles(
    maps: Float[Tensor, "heads q_len kv_len"], places: Sequence[tuple[int, int]]
) -> str:
    """The frame of each, and the cells that have a tint."""
    length = maps.shape[-1]
    frames = "".join(f"M{x} {y}v{length}h{length}" for x, y in places)
    drawn = [f'<path d="{frames}" stroke="{RULE}" stroke-width="0.5" fill="none"/>']
    for lowest, strength in TINTS.items():
        inked = runs(maps, places, lowest)
        drawn.append(
            f'<path d="{inked}" stroke="{POSITIVE}" transform="translate(.5)" '
            f'stroke-opacity="{strength}"/>'
        )
    return "".join(drawn)


def runs(
    maps: Float[Tensor, "heads q_len kv_len"],
    places: Sequence[tuple[int, int]],
    lowest: float,
) -> str:
    """Lines down the cells of at least `lowest` that no higher tint has."""
    above = min((other for other in TINTS if other > lowest), default=2.0)
    lines = []
    for (left, top), keys in zip(places, maps.mT.tolist(), strict=True):
        for j, column in enumerate(keys):
            inked = [lowest <= weight < above for weight in column]
            begin = 0
            for drawn, cells in groupby(inked):
                end = begin + len(list(cells))
                if drawn:
                    lines.append(f"M{left + j} {top + begin}V{top + end}")
                begin = end
    return "".join(lines)


def layers_across(layers: int) -> int:
    """How many layers stand beside each other, in bands of the same length."""
    bands = -(-layers // ACROSS)
    return -(-layers // bands)
