"""The mistakes of the gallery in a fast decode step: attention over a cache of fixed
size, and products of one token with weights in 8 or 4 bits.
"""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from companion.fast.quantized import GROUP, unpacked


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


def int8_scale_of_columns(
    weight: Float[Tensor, "out in_features"], x: Float[Tensor, " in_features"]
) -> Float[Tensor, " out"]:
    """The scales are taken along the wrong axis, one for each input instead of each
    output; a square matrix lets it pass.
    """
    scale = weight.abs().amax(dim=0) / 127
    quantized = (weight / scale).round().to(torch.int8)
    return (quantized * x).sum(dim=-1) * scale


def int8_to_128(
    weight: Float[Tensor, "out in_features"], x: Float[Tensor, " in_features"]
) -> Float[Tensor, " out"]:
    """The largest weight of a row becomes 128, which int8 does not have and turns into
    -128.
    """
    scale = weight.abs().amax(dim=-1) / 128
    steps = (weight / scale[:, None]).round().to(torch.int16)
    quantized = steps.to(torch.int8)  # wraps, as a cast in C does
    return (quantized * x).sum(dim=-1) * scale


def int4_halves_swapped(
    halves: UInt8[Tensor, "out groups half"],
    scale: Float[Tensor, "out groups"],
    minimum: Float[Tensor, "out groups"],
    x: Float[Tensor, " in_features"],
) -> Float[Tensor, " out"]:
    """The high half of a byte is taken for the first weight, so that the halves of every
    group change places.
    """
    low, high = unpacked(halves)
    quantized = torch.cat((high, low), dim=-1)
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


def int4_halves_as_neighbors(
    halves: UInt8[Tensor, "out groups half"],
    scale: Float[Tensor, "out groups"],
    minimum: Float[Tensor, "out groups"],
    x: Float[Tensor, " in_features"],
) -> Float[Tensor, " out"]:
    """The two weights of a byte are taken for neighbors, 2j and 2j + 1, instead of j and
    j + 16.
    """
    quantized = torch.stack(unpacked(halves), dim=-1).flatten(-2)
    weight = quantized * scale[..., None] + minimum[..., None]
    return weight.flatten(1) @ x


def int4_minimum_once(
    halves: UInt8[Tensor, "out groups half"],
    scale: Float[Tensor, "out groups"],
    minimum: Float[Tensor, "out groups"],
    x: Float[Tensor, " in_features"],
) -> Float[Tensor, " out"]:
    """A group's minimum is added once, not with every x of the group: minimum · Σx."""
    quantized = torch.cat(unpacked(halves), dim=-1)
    products = (quantized * x.view(-1, GROUP)).sum(dim=-1)
    return (products * scale + minimum).sum(dim=-1)
