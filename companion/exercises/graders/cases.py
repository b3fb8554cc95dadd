"""The grader of any function with the signature of one that is right."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from companion.exercises.gallery import mistaken
from companion.exercises.graders.grading import check_numbers, check_tensor


def check_cases(
    answer: Callable[..., Tensor],
    right: Callable[..., Tensor],
    cases: Mapping[str, tuple[Any, ...]],
) -> str | None:
    """In one case after the other a tensor like that of `right`, and its numbers, else the
    mistake of the gallery that gives them.
    """
    for where, arguments in cases.items():
        expected, given = right(*arguments), answer(*arguments)
        if problem := check_tensor(f"{where}, the result", given, expected):
            return problem
        known = {
            title: wrong
            for title, wrong in mistaken(right, *arguments).items()
            if wrong.shape == expected.shape
        }
        if problem := check_numbers(given, expected, known):
            return f"{where}: {problem}"
    return None
