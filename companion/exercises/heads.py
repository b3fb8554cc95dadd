"""Splitting heads: its mistakes, and the grader that rejects them."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_tensor, graded
from companion.heads import split_heads


def heads_arguments() -> tuple[Tensor, int]:
    """X (1, 5, 8) for two heads."""
    return random(1, 5, 8), 2


@imitates(split_heads, heads_arguments)
def heads_by_view(x: Tensor, num_heads: int) -> Tensor:
    """The heads are made by one reshape to (batch, heads, length, head_dim),
    without a transpose.
    """
    batch, length, hidden = x.shape
    return x.reshape(batch, num_heads, length, hidden // num_heads)


@imitates(split_heads, heads_arguments)
def heads_interleaved(x: Tensor, num_heads: int) -> Tensor:
    """Head h takes every num_heads-th feature, not a run of neighbors."""
    return rearrange(
        x, "... length (head_dim heads) -> ... heads length head_dim", heads=num_heads
    )


@graded
def check_split_heads(split: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `split(x, num_heads)` on x (batch, length, hidden)."""
    x = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    expected, answer = split_heads(x, 2), split(x, 2)
    if problem := check_tensor("the result", answer, expected):
        return problem
    if torch.equal(answer, expected):
        return None
    first = answer[0, 0, 0].tolist()
    if not torch.equal(answer[0, 0, 0], x[0, 0, :4]):
        return (
            f"head 0 of token 0 is {first}; it should be that token's first "
            f"features, {x[0, 0, :4].tolist()}"
        )
    return (
        f"head 0 of token 1 is {answer[0, 0, 1].tolist()}, which mixes tokens and "
        f"heads; it should be {x[0, 1, :4].tolist()}: cut the last axis first, then "
        "bring the heads before the length"
    )
