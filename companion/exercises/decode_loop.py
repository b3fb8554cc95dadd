"""The mistakes in a fast decode step: in attention over a cache of fixed size, and in
products of one token with weights in 8 or 4 bits.
"""

import math
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.adapters import (
    ATTEND,
    int4_weight,
    int8_weight,
    over_a_static_cache,
)
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.exercises.writing import cached
from companion.fast.quantized import (
    GROUP,
    Int4Linear,
    quantize_groups,
    quantize_rows,
    unpacked,
)

LENGTH, ROOM = 5, 8

Halves = UInt8[Tensor, "out groups half"]
PerGroup = Float[Tensor, "out groups"]
Row = Float[Tensor, " in_features"]
Out = Float[Tensor, " out"]


def static_cache_arguments() -> tuple[Tensor | int, ...]:
    """A query (1, 2, 1, 16), and a cache with 5 of 8 places filled."""
    query, keys, values = random(3, 1, 2, ROOM, 16)
    keys[..., LENGTH:, :] = 0
    values[..., LENGTH:, :] = 0
    return query[..., :1, :], keys, values, LENGTH


def over_the_filled(query: Tensor, keys: Tensor, values: Tensor, length: int) -> Tensor:
    """Attention over the places that hold a token."""
    filled = slice(0, length)
    return scaled_dot_product_attention(
        query, keys[..., filled, :], values[..., filled, :]
    )


@imitates(
    over_the_filled,
    static_cache_arguments,
    "check_static_cache",
    instead_of=(over_the_filled, "filled, :"),
    planted=Planted({ATTEND: over_a_static_cache}, write=cached),
)
def static_cache_unmasked(
    query: Float[Tensor, "*batch 1 head_dim"],
    keys: Float[Tensor, "*batch room head_dim"],
    values: Float[Tensor, "*batch room head_dim"],
    length: int,
) -> Float[Tensor, "*batch 1 head_dim"]:
    """The empty places of a static cache are not masked: their keys of 0 score 0, and
    take a part of the weights.

    The weights of the tokens sum to less than 1, here to 0.6, and to 1 when the cache
    is full: short texts go wrong, and long ones less.
    """
    scores = query @ keys.mT / math.sqrt(query.shape[-1])  # wrong
    return torch.softmax(scores, dim=-1) @ values


def square_product() -> tuple[Tensor, ...]:
    """A weight (32, 32) and one token."""
    numbers = random(33, 32)
    return numbers[:32], numbers[32]


def product(weight: Tensor, x: Tensor) -> Tensor:
    """The product in floating point."""
    return weight @ x


# The two matrices of a layer that are square.
SQUARE = [f"model.layers.*.self_attn.{name}.forward" for name in ("q_proj", "o_proj")]
imitates_int8 = partial(
    imitates,
    product,
    square_product,
    "check_int8_product",
    instead_of=(quantize_rows, "/ 127"),
    planted=Planted(dict.fromkeys(SQUARE, int8_weight)),
)


@imitates_int8()
def int8_scale_of_columns(weight: Float[Tensor, "out in_features"], x: Row) -> Out:
    """The scales are taken along the wrong axis, one for each input instead of each
    output; a square matrix lets it pass.

    An error for every matrix that is not square; a square one gives a product that is
    off by a third.
    """
    scale = weight.abs().amax(dim=0) / 127  # wrong
    quantized = (weight / scale).round().to(torch.int8)
    return (quantized * x).sum(dim=-1) * scale


@imitates_int8()
def int8_to_128(weight: Float[Tensor, "out in_features"], x: Row) -> Out:
    """The largest weight of a row becomes 128, which int8 does not have and turns into
    -128.

    Outputs are off whose largest weight is positive, and those are right whose largest
    is negative.
    """
    scale = weight.abs().amax(dim=-1) / 128  # wrong
    steps = (weight / scale[:, None]).round().to(torch.int16)
    quantized = steps.to(torch.int8)  # wraps, as a cast in C does
    return (quantized * x).sum(dim=-1) * scale


def grouped_product() -> tuple[Tensor, ...]:
    """A weight (8, 64) in groups of 32, and one token."""
    numbers = random(9, 64)
    return *quantize_groups(numbers[:8]), numbers[8]


def product_of_groups(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """Unpacked one weight at a time: the low half of byte j is weight j of its group,
    the high half weight j + 16.
    """
    weight = torch.empty(*halves.shape[:2], 32)
    for j in range(16):
        weight[..., j] = halves[..., j] % 16 * scale + minimum
        weight[..., j + 16] = halves[..., j] // 16 * scale + minimum
    return weight.flatten(1) @ x


imitates_int4 = partial(
    imitates,
    product_of_groups,
    grouped_product,
    "check_int4_product",
    planted=Planted(dict.fromkeys(SQUARE, int4_weight)),
)
HALVES_IN_TURN = Int4Linear.dense, "unpacked"


@imitates_int4(instead_of=HALVES_IN_TURN)
def int4_halves_swapped(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """The high half of a byte is taken for the first weight, so that the halves of
    every group change places.

    The product is off by more than its own size, though every weight that was packed is
    in it.
    """
    low, high = unpacked(halves)
    quantized = torch.cat((high, low), dim=-1)  # wrong
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


@imitates_int4(instead_of=HALVES_IN_TURN)
def int4_halves_as_neighbors(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """The two weights of a byte are taken for neighbors, 2j and 2j + 1, instead of j
    and j + 16.

    The product is off by more than its own size, though every weight that was packed is
    in it.
    """
    quantized = torch.stack(unpacked(halves), dim=-1).flatten(-2)  # wrong
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


@imitates_int4(instead_of=(Int4Linear.sums, "self.minimum"))
def int4_minimum_once(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """A group's minimum is added once, not with every x of the group: minimum · Σx.

    The product is off by nearly its own size, and right where the inputs of each group
    sum to 1.
    """
    quantized = torch.cat(unpacked(halves), dim=-1)
    products = (quantized * x.view(-1, GROUP)).sum(dim=-1)
    return (products * scale + minimum).sum(dim=-1)  # wrong
