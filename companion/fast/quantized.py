"""Linear layers with 8 or 4 bits a weight, for decode, where bytes are time."""

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

from companion.fast.linear import RowLinear, stored

GROUP = 32  # weights of a row that share a scale in 4 bits, as in llama.cpp's Q4_1
TINY = 1e-12  # in place of a scale of 0, where all weights are alike


class Int8Linear(RowLinear):
    """One byte a weight: `weight ≈ quantized · scale`, with a scale for each output."""

    def __init__(self, linear: nn.Linear):
        super().__init__(linear)
        del self.weight
        quantized, scale = quantize_rows(linear.weight.detach())
        self.quantized, self.scale = frozen(quantized), frozen(scale)

    def products(
        self, x: Float[Tensor, "tokens in_features"]
    ) -> Float[Tensor, "tokens out_features"]:
        """The scale multiplies once, after the sums."""
        return super().products(x) * self.scale

    def sums(
        self, rows: slice, x: Float[Tensor, "group in_features"]
    ) -> Float[Tensor, "rows group"]:
        """Some rows with some tokens; a byte becomes a number on its way."""
        return (self.quantized[rows, None] * x).sum(dim=-1)

    def dense(self, dtype: torch.dtype) -> Float[Tensor, "out in_features"]:
        """The weight as floating point numbers again, for one matmul."""
        return (self.quantized * self.scale[:, None]).to(dtype)


class Int4Linear(RowLinear):
    """Half a byte a weight: `weight ≈ quantized · scale + minimum`, both of a group of 32.

    A byte holds the weights j and j + 16 of its group, the first in its low half. Each
    group adds 8 bytes for its scale and its minimum, 2 bits a weight.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__(linear)
        del self.weight
        halves, scale, minimum = quantize_groups(linear.weight.detach())
        self.halves = frozen(halves)
        self.scale, self.minimum = frozen(scale), frozen(minimum)

    def sums(
        self, rows: slice, x: Float[Tensor, "group in_features"]
    ) -> Float[Tensor, "rows group"]:
        """Some rows with some tokens, the two weights of a byte at a time."""
        first, second = x.unflatten(-1, (-1, GROUP)).chunk(2, dim=-1)
        low, high = unpacked(self.halves[rows, None])
        products = (low * first + high * second) * self.scale[rows, None, :, None]
        both = stored(first + second) if x.shape[0] == 1 else first + second
        return (products + self.minimum[rows, None, :, None] * both).sum(dim=(-1, -2))

    def dense(self, dtype: torch.dtype) -> Float[Tensor, "out in_features"]:
        """The weight as floating point numbers again, for one matmul."""
        quantized = torch.cat(unpacked(self.halves), dim=-1)
        weight = quantized * self.scale[..., None] + self.minimum[..., None]
        return weight.flatten(1).to(dtype)


def quantize_rows(
    weight: Float[Tensor, "out in_features"],
) -> tuple[Int8[Tensor, "out in_features"], Float[Tensor, " out"]]:
    """`weight ≈ quantized · scale`, the largest of a row at ±127."""
    weight = weight.float()
    scale = weight.abs().amax(dim=-1).clamp(min=TINY) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def quantize_groups(
    weight: Float[Tensor, "out in_features"],
) -> tuple[
    UInt8[Tensor, "out groups half"],
    Float[Tensor, "out groups"],
    Float[Tensor, "out groups"],
]:
    """Two weights a byte, and for each 32 of a row the scale and the minimum: a group's
    least weight is 0 and its largest 15.
    """
    groups = weight.float().unflatten(-1, (-1, GROUP))
    minimum, maximum = groups.aminmax(dim=-1)
    scale = ((maximum - minimum) / 15).clamp(min=TINY)
    quantized = ((groups - minimum[..., None]) / scale[..., None]).round()
    low, high = quantized.to(torch.uint8).chunk(2, dim=-1)
    return low | (high << 4), scale, minimum


def unpacked(halves: UInt8[Tensor, "out groups half"]) -> tuple[Tensor, Tensor]:
    """The low and the high half of each byte, as int32, which a CPU shifts fastest."""
    wide = halves.int()
    return wide & 15, wide >> 4


def frozen(x: Tensor) -> nn.Parameter:
    """A parameter that is not trained."""
    return nn.Parameter(x, requires_grad=False)
