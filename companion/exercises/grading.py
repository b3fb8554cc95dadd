"""What graders are made of: the grade, and the checks that each begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grade:
    """Whether an answer is right, and if not, what is wrong with it."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


RIGHT = Grade(True, "right")


def wrong(message: str) -> Grade:
    """A failing grade with its reason."""
    return Grade(False, message)


def graded(check: Callable[[Callable], Grade]) -> Callable[[Callable], Grade]:
    """A grader that also grades an answer that raises."""

    @wraps(check)
    def grade(answer: Callable) -> Grade:
        try:
            return check(answer)
        except Exception as error:  # whatever the reader's function raises
            return wrong(f"it raises {type(error).__name__}: {error}")

    return grade


def check_tensor(name: str, answer: object, expected: Tensor) -> Grade | None:
    """The first thing to be right: a tensor of the right shape and dtype."""
    if not isinstance(answer, Tensor):
        return wrong(f"{name} returned a {type(answer).__name__}, not a tensor")
    if answer.shape != expected.shape:
        return wrong(
            f"{name} has shape {tuple(answer.shape)}; it should be "
            f"{tuple(expected.shape)}"
        )
    if answer.dtype != expected.dtype:
        return wrong(f"{name} is {answer.dtype}; it should be {expected.dtype}")
    return None


def gap(answer: Tensor, expected: Tensor) -> str:
    """The largest difference, in one digit or whole."""
    largest = (answer - expected).abs().max().item()
    return f"{largest:.0f}" if largest >= 1 else f"{largest:.1g}"


def same(answer: Tensor, expected: Tensor) -> bool:
    """Whether two results are equal up to rounding.

    In a dtype narrower than float32, where one step is already visible, a few elements
    in a hundred may differ.
    """
    if answer.dtype in (torch.float32, torch.float64):
        return torch.allclose(answer, expected, rtol=1e-4, atol=1e-4)
    return (answer != expected).float().mean().item() < 0.05


def diagnosis(answer: Tensor, expected: Tensor, known: Mapping[str, Tensor]) -> str:
    """The known mistake that gives this answer, or how far off it is."""
    for mistake, result in known.items():
        if same(answer, result):
            return mistake
    return f"it is off by up to {gap(answer, expected)}"
