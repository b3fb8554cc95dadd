"""The graders of RMSNorm and of SwiGLU."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.gallery import mistaken, random
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.norm_swiglu import norm_arguments
from companion.mlp import swiglu
from companion.norm import rms_norm


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
