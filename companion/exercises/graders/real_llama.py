"""The grader of the exercise on sampling."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.graders.grading import (
    check_numbers,
    check_tensor,
    graded,
    same,
)


@graded
def check_top_p(answer: Callable[[Tensor, float], Tensor]) -> str | None:
    """Grade `answer(probabilities, top_p)`: the likeliest tokens whose sum reaches top_p,
    the others 0, each row summing to 1.
    """
    probabilities = torch.tensor(
        [[0.05, 0.4, 0.25, 0.2, 0.1], [0.1, 0.02, 0.03, 0.05, 0.8]]
    )
    given = answer(probabilities.clone(), 0.6)
    left = {
        "": torch.tensor([[0.0, 0.4, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.8]]),
        "dropped": torch.tensor([[0.0, 0.4, 0.0, 0.0, 0.0], [0.0] * 5]),
        "smallest": torch.tensor([[0.05, 0.0, 0.25, 0.2, 0.1], [0.1, 0.02, 0.03, 0.05, 0]]),
    }  # fmt: skip
    expected = left[""] / left[""].sum(dim=-1, keepdim=True)
    if problem := check_tensor("the result", given, expected):
        return problem
    if given[1].isnan().any() or same(given[1], left["dropped"][1]):
        return (
            "of [0.1, 0.02, 0.03, 0.05, 0.8] with top_p 0.6 nothing is left: the token "
            "that reaches top_p stays, so one always does"
        )
    known = {
        "the rows do not sum to 1: divide by what is left": left[""],
        "the unlikely tokens were kept: sort from the likeliest down": left["smallest"]
        / left["smallest"].sum(dim=-1, keepdim=True),
        "the tokens are in the order of their probabilities: put them back where they "
        "were": expected.sort(dim=-1, descending=True).values,
    }
    return check_numbers(given, expected, known)
