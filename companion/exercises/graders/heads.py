"""The grader of splitting heads."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.graders.grading import check_tensor, graded
from companion.heads import split_heads


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
