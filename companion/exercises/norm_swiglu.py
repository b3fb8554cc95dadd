"""The mistakes in RMSNorm and SwiGLU."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted, as_it_is
from companion.mlp import swiglu
from companion.norm import rms_norm


def norm_arguments(
    dtype: torch.dtype = torch.float32, scale: float = 1.0
) -> tuple[Tensor, Tensor, float]:
    """X (1, 5, 64) of that size, a weight and eps."""
    x = (random(1, 5, 64) * scale).to(dtype)
    return x, random(64, dtype=dtype), 1e-6


def gate_arguments() -> tuple[Tensor, Tensor]:
    """Gate and up (1, 5, 16)."""
    gate, up = random(2, 1, 5, 16)
    return gate, up


def in_an_mlp(gated: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A feed-forward block that is right but for how it is gated."""

    def mlp(x: Tensor, gate_proj: Tensor, up_proj: Tensor, down_proj: Tensor) -> Tensor:
        return gated(x @ gate_proj.T, x @ up_proj.T) @ down_proj.T

    return mlp


imitates_norm = partial(imitates, rms_norm, grader="check_rms_norm")
imitates_swiglu = partial(
    imitates,
    swiglu,
    gate_arguments,
    "check_mlp",
    answer=in_an_mlp,
    instead_of=(swiglu, "F.silu"),
    planted=Planted({"companion.mlp.swiglu": as_it_is}),
)
ROOT = rms_norm, "torch.rsqrt"
IN_EVERY_NORM = Planted({"companion.norm.rms_norm": as_it_is})


@imitates_norm(
    lambda: norm_arguments(torch.bfloat16),
    instead_of=(rms_norm, "weight * normed"),
    planted="in float32 there is nothing to cast",
)
def norm_cast_late(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm multiplies by its weight in float32 and casts after, not before.

    Nothing in float32. In bfloat16 a quarter of a norm's outputs differ, each
    by a step.
    """
    return rms_norm(x.float(), weight.float(), eps).to(x.dtype)  # wrong


@imitates_norm(
    lambda: norm_arguments(scale=1e-3), instead_of=ROOT, planted=IN_EVERY_NORM
)
def norm_eps_outside(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The eps is added to the root, not to the mean of squares under it.

    The text stays the same, and so does the output for features of usual size; near
    0.001 it is off by half.
    """
    root = x.float().pow(2).mean(dim=-1, keepdim=True).sqrt()
    return weight * (x.float() / (root + eps)).to(x.dtype)  # wrong


@imitates_norm(norm_arguments, instead_of=ROOT, planted=IN_EVERY_NORM)
def norm_mean_subtracted(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The mean of the features is subtracted first, as LayerNorm does.

    The text stays fluent, and goes another way after some words.
    """
    wide = x.float()
    centered = wide - wide.mean(dim=-1, keepdim=True)  # wrong
    return rms_norm(centered.to(x.dtype), weight, eps)


@imitates_norm(
    lambda: norm_arguments(torch.float16, scale=300.0),
    instead_of=(rms_norm, "promote_types"),
    planted="in float32 no square of these numbers overflows",
)
def norm_not_widened(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The squares are taken in the dtype of x: in float16 that of 256 overflows.

    In float16 a token with large features comes out as zeros, because the mean of their
    squares is infinite.
    """
    normed = x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)  # wrong
    return weight * normed


@imitates_swiglu()
def gate_and_up_exchanged(gate: Tensor, up: Tensor) -> Tensor:
    """The places of gate and up are exchanged, so that silu falls on up.

    Noise from the first token on. A checkpoint loads either way, as the two matrices
    have one shape.
    """
    return gate * F.silu(up)  # wrong


@imitates_swiglu()
def silu_of_product(gate: Tensor, up: Tensor) -> Tensor:
    """The silu is taken of the product gate · up, not of gate alone.

    Noise from the first token on: words that make no sentence.
    """
    return F.silu(gate * up)  # wrong


@imitates_swiglu()
def sigmoid_for_silu(gate: Tensor, up: Tensor) -> Tensor:
    """The gate is sigmoid(gate), as in the first GLU, not gate · sigmoid(gate).

    The gate is never below 0, as it may be with silu; the text is one character, repeated.
    """
    return torch.sigmoid(gate) * up  # wrong
