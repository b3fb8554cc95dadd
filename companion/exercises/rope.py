"""RoPE: its mistakes, and the grader that rejects them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_tensor, graded
from companion.rope import apply_rope, rope_cos_sin


def rope_arguments() -> tuple[Tensor, ...]:
    """A query (1, 2, 5, 8) at positions 3 to 7."""
    return random(1, 2, 5, 8), *rope_cos_sin(torch.arange(3, 8)[None], 8, 10000.0)


@imitates(apply_rope, rope_arguments)
def rope_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE turns the pairs (0, 1), (2, 3) ... of a checkpoint that pairs (0, d/2),
    (1, d/2 + 1) ...
    """
    first, second = x[..., 0::2], x[..., 1::2]
    half = x.shape[-1] // 2
    c, s = cos[:, None, :, :half], sin[:, None, :, :half]
    turned = torch.stack((first * c - second * s, first * s + second * c), dim=-1)
    return turned.flatten(-2)


@imitates(apply_rope, rope_arguments)
def rope_layout_mixed(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The halves are rotated, but with angles laid out for neighbors: a a b b, not
    a b a b.
    """
    pairs = x.shape[-1] // 2
    cos, sin = (angle[..., :pairs].repeat_interleave(2, dim=-1) for angle in (cos, sin))
    return apply_rope(x, cos, sin)


@imitates(apply_rope, rope_arguments)
def rope_backwards(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every pair is turned the other way: the sign in rotate_half is wrong."""
    return apply_rope(x, cos, -sin)


@imitates(apply_rope, rope_arguments)
def rope_from_zero(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every token is rotated as if it stood at the first position (the position of
    a cached step forgotten).
    """
    return apply_rope(x, cos[:, :1].expand_as(cos), sin[:, :1].expand_as(sin))


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
    if not math.isclose(answer.norm().item(), x.norm().item(), rel_tol=1e-4):
        return (
            "the length of the vectors changed; a rotation keeps it: check the "
            "signs in rotate_half"
        )
    return (
        "a rotation, but not of the pairs (i, i + head_dim / 2): which features are "
        "turned together?"
    )
