"""The gallery's faults in a fast decode step."""

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises import decode_mistakes as mistakes
from companion.exercises.fault import Fault, random
from companion.fast.quantized import quantize_groups

LENGTH, ROOM = 5, 8


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


def square_product() -> tuple[Tensor, ...]:
    """A weight (32, 32) and one token."""
    numbers = random(33, 32)
    return numbers[:32], numbers[32]


def product(weight: Tensor, x: Tensor) -> Tensor:
    """The product in floating point."""
    return weight @ x


def grouped_product() -> tuple[Tensor, ...]:
    """A weight (8, 64) in groups of 32, and one token."""
    numbers = random(9, 64)
    return *quantize_groups(numbers[:8]), numbers[8]


def product_of_groups(
    halves: Tensor, scale: Tensor, minimum: Tensor, x: Tensor
) -> Tensor:
    """Unpacked one weight at a time: the low half of byte j is weight j of its group,
    the high half weight j + 16.
    """
    weight = torch.empty(*halves.shape[:2], 32)
    for j in range(16):
        weight[..., j] = halves[..., j] % 16 * scale + minimum
        weight[..., j + 16] = halves[..., j] // 16 * scale + minimum
    return weight.flatten(1) @ x


DECODE_FAULTS = (
    Fault(mistakes.static_cache_unmasked, over_the_filled, static_cache_arguments),
    *(
        Fault(wrong, product, square_product)
        for wrong in (mistakes.int8_scale_of_columns, mistakes.int8_to_128)
    ),
    *(
        Fault(wrong, product_of_groups, grouped_product)
        for wrong in (
            mistakes.int4_halves_swapped,
            mistakes.int4_halves_as_neighbors,
            mistakes.int4_minimum_once,
        )
    ),
)
