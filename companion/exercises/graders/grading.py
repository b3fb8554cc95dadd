"""What graders are made of: the grade, and the checks that each begins with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grade:
    """Whether an answer is right, and if not, what is wrong with it."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


def graded(check: Callable[[Callable], str | None]) -> Callable[[Callable], Grade]:
    """A grader, of a function that says what is wrong with an answer if anything is;
    an answer that raises is wrong too.
    """

    def grade(answer: Callable) -> Grade:
        try:
            problem = check(answer)
        except Exception as error:  # whatever the reader's function raises
            problem = f"it raises {type(error).__name__}: {error}"
        return Grade(problem is None, problem or "right")

    grade.__name__, grade.__doc__ = check.__name__, check.__doc__
    return grade


def check_tensor(name: str, answer: object, expected: Tensor) -> str | None:
    """The first thing to be right: a tensor of the right shape and dtype."""
    if not isinstance(answer, Tensor):
        return f"{name} returned a {type(answer).__name__}, not a tensor"
    if answer.shape != expected.shape:
        return (
            f"{name} has shape {tuple(answer.shape)}; it should be "
            f"{tuple(expected.shape)}"
        )
    if answer.dtype != expected.dtype:
        return f"{name} is {answer.dtype}; it should be {expected.dtype}"
    return None


def check_numbers(
    answer: Tensor, expected: Tensor, known: Mapping[str, Tensor]
) -> str | None:
    """The second: the known mistakes that give these numbers, or how far off they are."""
    if same(answer, expected):
        return None
    mistakes = [name for name, result in known.items() if same(answer, result)]
    return "; or: ".join(mistakes) or f"it is off by up to {gap(answer, expected)}"


def gap(answer: Tensor, expected: Tensor) -> str:
    """The largest difference, in one digit or whole."""
    largest = (answer - expected).abs().max().item()
    return f"{largest:.0f}" if largest >= 1 else f"{largest:.1g}"


def same(answer: Tensor, expected: Tensor) -> bool:
    """Whether two results are equal up to rounding.

    In a dtype narrower than float32, where one step is already visible, a few elements
    in a hundred may differ.
    """
    if not answer.is_floating_point():
        return torch.equal(answer, expected)
    if answer.dtype in (torch.float32, torch.float64):
        return torch.allclose(answer, expected, rtol=1e-4, atol=1e-4)
    return (answer != expected).float().mean().item() < 0.05
