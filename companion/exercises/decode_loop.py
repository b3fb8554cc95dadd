"""A fast decode step: the mistakes in attention over a cache of fixed size and in
products of one token with weights in 8 or 4 bits, and the grader of such weights.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_numbers, check_tensor, graded
from companion.fast.quantized import GROUP, quantize_groups, unpacked

LENGTH, ROOM = 5, 8
HALF = 0.501  # of a step, and a little for rounding

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


@imitates(over_the_filled, static_cache_arguments)
def static_cache_unmasked(
    query: Float[Tensor, "*batch 1 head_dim"],
    keys: Float[Tensor, "*batch room head_dim"],
    values: Float[Tensor, "*batch room head_dim"],
    length: int,
) -> Float[Tensor, "*batch 1 head_dim"]:
    """The empty places of a static cache are not masked: their keys of 0 score 0, and
    take a part of the weights.
    """
    scores = query @ keys.mT / math.sqrt(query.shape[-1])
    return torch.softmax(scores, dim=-1) @ values


def square_product() -> tuple[Tensor, ...]:
    """A weight (32, 32) and one token."""
    numbers = random(33, 32)
    return numbers[:32], numbers[32]


def product(weight: Tensor, x: Tensor) -> Tensor:
    """The product in floating point."""
    return weight @ x


@imitates(product, square_product)
def int8_scale_of_columns(weight: Float[Tensor, "out in_features"], x: Row) -> Out:
    """The scales are taken along the wrong axis, one for each input instead of each
    output; a square matrix lets it pass.
    """
    scale = weight.abs().amax(dim=0) / 127
    quantized = (weight / scale).round().to(torch.int8)
    return (quantized * x).sum(dim=-1) * scale


@imitates(product, square_product)
def int8_to_128(weight: Float[Tensor, "out in_features"], x: Row) -> Out:
    """The largest weight of a row becomes 128, which int8 does not have and turns into
    -128.
    """
    scale = weight.abs().amax(dim=-1) / 128
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


@imitates(product_of_groups, grouped_product)
def int4_halves_swapped(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """The high half of a byte is taken for the first weight, so that the halves of every
    group change places.
    """
    low, high = unpacked(halves)
    quantized = torch.cat((high, low), dim=-1)
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


@imitates(product_of_groups, grouped_product)
def int4_halves_as_neighbors(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """The two weights of a byte are taken for neighbors, 2j and 2j + 1, instead of j and
    j + 16.
    """
    quantized = torch.stack(unpacked(halves), dim=-1).flatten(-2)
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


@imitates(product_of_groups, grouped_product)
def int4_minimum_once(
    halves: Halves, scale: PerGroup, minimum: PerGroup, x: Row
) -> Out:
    """A group's minimum is added once, not with every x of the group: minimum · Σx."""
    quantized = torch.cat(unpacked(halves), dim=-1)
    products = (quantized * x.view(-1, GROUP)).sum(dim=-1)
    return (products * scale + minimum).sum(dim=-1)


def weights() -> Float[Tensor, "6 96"]:
    """Random weights in groups of very different size, one of which is all zeros. The
    largest of the first group is negative.
    """
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(6, 96, generator=generator)
    weight = weight * torch.linspace(0.1, 2.0, 18).repeat_interleave(GROUP).view(6, 96)
    weight[2, :GROUP] = 0.0
    weight[0, 5] = -1.5
    return weight


def known_scales(groups: Float[Tensor, "out groups 32"]) -> dict[str, Tensor]:
    """What the usual mistakes take for the scales."""
    largest = groups.abs().amax(dim=-1)
    nearest = "it belongs to the largest of a group's 32 weights, positive or negative"
    return {
        f"{nearest}, and this takes the largest number": groups.amax(dim=-1) / 127,
        f"{nearest}, and this takes the spread from least to largest": (
            groups.amax(dim=-1) - groups.amin(dim=-1)
        )
        / 255,
        f"{nearest}, and this takes the largest of a whole row": (
            largest.amax(dim=-1, keepdim=True).expand_as(largest) / 127
        ),
        f"{nearest}, and this takes the largest of the matrix": (
            largest.amax().expand_as(largest) / 127
        ),
        "the largest weight becomes 127 steps: 128 is no int8": largest / 128,
        "the largest weight becomes 127 steps: 255 is no int8": largest / 255,
        "it is what a step is worth: the largest weight / 127, and this is one over "
        "that": 127 / largest,
        "it is the largest weight itself, not yet divided by 127": largest,
    }


@graded
def check_quantize_groups(
    quantize: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> str | None:
    """Grade `quantize(weight)`: weight (out, in) → int8 (out, in), and a scale (out,
    in / 32) for each 32 weights of a row, so that weight ≈ int8 · scale.
    """
    weight = weights()
    groups = weight.unflatten(-1, (-1, GROUP))
    expected = groups.abs().amax(dim=-1) / 127
    answer = quantize(weight.clone())
    if not isinstance(answer, tuple) or len(answer) != 2:
        return (
            f"it returned a {type(answer).__name__}: it should be two tensors, the int8 "
            "weights and their scales"
        )
    quantized, scale = answer
    steps = (groups / expected.clamp(min=1e-12)[..., None]).round()
    if problem := check_tensor("int8", quantized, steps.flatten(1).to(torch.int8)):
        return problem
    if problem := check_tensor("scale", scale, expected):
        return problem
    if not scale.isfinite().all():
        return "scale is not finite for a group that is all zeros"
    filled = expected > 0  # the scale of zeros may be anything
    found, right = scale[filled], expected[filled]
    known = {name: x[filled] / right for name, x in known_scales(groups).items()}
    if problem := check_numbers(found / right, torch.ones_like(right), known):
        return f"scale: {problem}"
    return check_steps(groups, quantized.unflatten(-1, (-1, GROUP)), scale)


def check_steps(groups: Tensor, quantized: Tensor, scale: Tensor) -> str | None:
    """Whether each weight went to the nearest step, whichever way a tie goes."""
    zeros = (groups == 0).all(dim=-1)
    off = (groups / scale[..., None] - quantized)[~zeros].abs()
    if off.max() <= HALF:
        if quantized[zeros].any():
            return "a group of zeros has weights that are not 0: 0 / 0 is no number"
        return None
    if off.max() < 2 * HALF:
        return (
            "the scales are right, and the weights are cut off, not rounded to the "
            "nearest step: .round() before the cast"
        )
    share = (off > HALF).float().mean().item()
    return (
        f"the scales are right, and {share:.0%} of the weights are not at their nearest "
        "step: is each divided by the scale of its own group?"
    )
