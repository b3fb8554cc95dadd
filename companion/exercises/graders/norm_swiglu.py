"""The graders of RMSNorm, and of SwiGLU with two matrices or with one."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import mistaken, random
from companion.exercises.graders.cases import Wrong, check_cases, made
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.norm_swiglu import norm_arguments
from companion.mlp import swiglu
from companion.norm import rms_norm

NORMED_WRONGLY: Wrong = {
    "the weight is left out": lambda x, weight, eps: rms_norm(
        x, torch.ones_like(weight), eps
    ),
    "the weight multiplies as it is, not as 1 + weight, which is Gemma's norm": (
        lambda x, weight, eps: rms_norm(x, 1 + weight, eps)
    ),
    "the mean runs over all tokens; each token has a root of its own": (
        lambda x, weight, eps: weight * x * (x.pow(2).mean() + eps).rsqrt()
    ),
    "the mean runs over the tokens (dim=-2), not over the features": (
        lambda x, weight, eps: (
            weight * x * (x.pow(2).mean(-2, keepdim=True) + eps).rsqrt()
        )
    ),
    "it is divided by the root of the sum of the squares, not of their mean": (
        lambda x, weight, eps: (
            weight * x * (x.pow(2).sum(-1, keepdim=True) + eps).rsqrt()
        )
    ),
}


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
        known |= made(NORMED_WRONGLY, x, weight, eps)
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


def fused_mlp(
    x: Tensor,
    gate_up_proj: Tensor,
    down_proj: Tensor,
    gated: Callable[[Tensor, Tensor], Tensor] = swiglu,
) -> Tensor:
    """The feed-forward half whose gate rows and up rows lie in one matrix, gate first."""
    gate, up = (x @ gate_up_proj.T).chunk(2, dim=-1)
    return gated(gate, up) @ down_proj.T


def dealt_out(x: Tensor, gate_up_proj: Tensor, down_proj: Tensor) -> Tensor:
    """The rows of gate and up taken in turn."""
    both = x @ gate_up_proj.T
    return swiglu(both[..., 0::2], both[..., 1::2]) @ down_proj.T


FUSED_WRONGLY: Wrong = {
    "gate is the first half of the rows, and here it is the second": partial(
        fused_mlp, gated=lambda gate, up: swiglu(up, gate)
    ),
    "the halves are the first rows and the last, not every other one": dealt_out,
    "the gate is silu(gate) = gate · sigmoid(gate), not sigmoid(gate)": partial(
        fused_mlp, gated=lambda gate, up: gate.sigmoid() * up
    ),
    "silu is for gate alone, not for the product": partial(
        fused_mlp, gated=lambda gate, up: F.silu(gate * up)
    ),
}


@graded
def check_fused_mlp(mlp: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """Grade `mlp(x, gate_up_proj, down_proj)`: gate_up_proj (2 · intermediate, hidden) has
    the rows of gate_proj, then those of up_proj.
    """
    x, gate_up_proj, down_proj = (
        random(2, 5, 16),
        random(48, 16) / 4,
        random(16, 24) / 4,
    )
    cases = {
        "in float32": (x, gate_up_proj, down_proj),
        "in float64": (x.double(), gate_up_proj.double(), down_proj.double()),
    }
    return check_cases(mlp, fused_mlp, cases, FUSED_WRONGLY)
