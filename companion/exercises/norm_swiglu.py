"""RMSNorm and SwiGLU: their mistakes, and the graders that reject them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import imitates, mistaken, random
from companion.exercises.grading import check_numbers, check_tensor, graded
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


@imitates(rms_norm, lambda: norm_arguments(torch.bfloat16))
def norm_cast_late(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm multiplies by its weight in float32 and casts after, not before."""
    return rms_norm(x.float(), weight.float(), eps).to(x.dtype)


@imitates(rms_norm, lambda: norm_arguments(scale=1e-3))
def norm_eps_outside(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The eps is added to the root, not to the mean of squares under it."""
    root = x.float().pow(2).mean(dim=-1, keepdim=True).sqrt()
    return weight * (x.float() / (root + eps)).to(x.dtype)


@imitates(rms_norm, norm_arguments)
def norm_mean_subtracted(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The mean of the features is subtracted first, as LayerNorm does."""
    wide = x.float()
    return rms_norm((wide - wide.mean(dim=-1, keepdim=True)).to(x.dtype), weight, eps)


@imitates(rms_norm, lambda: norm_arguments(torch.float16, scale=300.0))
def norm_not_widened(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The squares are taken in the dtype of x: in float16 that of 256 overflows."""
    return weight * (x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps))


@imitates(swiglu, gate_arguments)
def gate_and_up_exchanged(gate: Tensor, up: Tensor) -> Tensor:
    """The places of gate and up are exchanged, so that silu falls on up."""
    return gate * F.silu(up)


@imitates(swiglu, gate_arguments)
def silu_of_product(gate: Tensor, up: Tensor) -> Tensor:
    """The silu is taken of the product gate · up, not of gate alone."""
    return F.silu(gate * up)


@imitates(swiglu, gate_arguments)
def sigmoid_for_silu(gate: Tensor, up: Tensor) -> Tensor:
    """The gate is sigmoid(gate), as in the first GLU, not gate · sigmoid(gate)."""
    return torch.sigmoid(gate) * up


@graded
def check_rms_norm(norm: Callable[[Tensor, Tensor, float], Tensor]) -> str | None:
    """Grade `norm(x, weight, eps)` on x (batch, length, hidden) in three dtypes."""
    cases = {
        "on random numbers": norm_arguments(),
        "on numbers near 0.001, their squares as small as eps": norm_arguments(
            scale=1e-3
        ),
        "in bfloat16": norm_arguments(torch.bfloat16),
        "on numbers near 300 in float16": norm_arguments(torch.float16, scale=300.0),
    }
    for where, (x, weight, eps) in cases.items():
        expected, answer = rms_norm(x, weight, eps), norm(x, weight, eps)
        if problem := check_tensor(f"the result {where}", answer, expected):
            return problem
        known = mistaken(rms_norm, x, weight, eps)
        known["the weight is left out"] = rms_norm(x, torch.ones_like(weight), eps)
        if problem := check_numbers(answer, expected, known):
            return f"{where}: {problem}"
    return None


@graded
def check_mlp(mlp: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """Grade `mlp(x, gate_proj, up_proj, down_proj)`, the weights (out, in) as
    nn.Linear stores them.
    """
    gate_proj, up_proj = random(2, 24, 16) / 4
    x, down_proj = random(1, 5, 16), random(16, 24) / 4
    gate, up = x @ gate_proj.T, x @ up_proj.T
    expected = swiglu(gate, up) @ down_proj.T
    answer = mlp(x, gate_proj, up_proj, down_proj)
    known = mistaken(swiglu, gate, up)
    known = {title: gated @ down_proj.T for title, gated in known.items()}
    return check_tensor("the result", answer, expected) or check_numbers(
        answer, expected, known
    )
