"""The grader of RoPE."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.graders.grading import check_tensor, graded
from companion.exercises.rope import rope_layout_mixed
from companion.rope import apply_rope, rope_cos_sin


@graded
def check_rope(rope: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """Grade `rope(x, cos, sin)` on x (batch, heads, length, head_dim), in
    rotate-half pairing.
    """
    x = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(2))
    cos, sin = rope_cos_sin(torch.arange(4)[None], 8, 10000.0)
    expected, answer = apply_rope(x, cos, sin), rope(x, cos, sin)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.allclose(answer, expected, atol=1e-5):
        return None
    if torch.allclose(answer, x, atol=1e-5):
        return "nothing was rotated"
    if torch.allclose(answer, apply_rope(x, cos, -sin), atol=1e-5):
        return "every pair is turned the other way: check the signs in rotate_half"
    if torch.allclose(answer, rope_layout_mixed(x, cos, sin), atol=1e-5):
        return (
            "the halves are rotated by angles for neighbors: cos and sin hold each angle "
            "twice, a b a b, not a a b b"
        )
    if not math.isclose(answer.norm().item(), x.norm().item(), rel_tol=1e-4):
        return (
            "the length of the vectors changed; a rotation keeps it: check the "
            "signs in rotate_half"
        )
    return (
        "a rotation, but not of the pairs (i, i + head_dim / 2): which features are "
        "turned together?"
    )
