"""The grader of any function with the signature of one that is right."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from torch import Tensor

from companion.exercises.gallery import mistaken
from companion.exercises.graders.grading import check_numbers, check_tensor

# Wrong functions, by what is wrong about them.
Wrong = Mapping[str, Callable[..., Tensor]]
NONE: Wrong = MappingProxyType({})


def check_cases(
    answer: Callable[..., Tensor],
    right: Callable[..., Tensor],
    cases: Mapping[str, tuple[Any, ...]],
    wrong: Wrong = NONE,
) -> str | None:
    """In one case after the other a tensor like that of `right`, and its numbers, else the
    mistake that gives them, of the gallery or of `wrong`.
    """
    for where, arguments in cases.items():
        expected = right(*arguments)
        given = answer(*(copy(each) for each in arguments))
        if problem := check_tensor(f"{where}, the result", given, expected):
            return problem
        known = {
            title: result
            for title, result in (
                mistaken(right, *arguments) | made(wrong, *arguments)
            ).items()
            if result.shape == expected.shape
        }
        if problem := check_numbers(given, expected, known):
            return f"{where}: {problem}"
    return None


def made(wrong: Wrong, *arguments: Any) -> dict[str, Tensor]:
    """What wrong functions make of these arguments; those that refuse them are left out."""
    results = {}
    for title, function in wrong.items():
        with suppress(RuntimeError, ValueError):
            results[title] = function(*arguments)
    return results


def copy(argument: Any) -> Any:
    """What an answer may write to: a tensor of its own, with the same strides."""
    return argument.clone() if isinstance(argument, Tensor) else argument
