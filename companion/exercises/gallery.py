"""The failure gallery: mistakes that pass every shape check, each beside the function
that it imitates.

Every fault is run, not described: `Fault.run` computes both, `Fault.grade` hands the wrong
one to the grader that rejects it, and `planted` puts it into a model.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from companion.exercises.graders.grading import Grade
from companion.exercises.lines import is_marked, statement
from companion.exercises.planting import Planted

# The chapters that have mistakes, in the order of the book.
CHAPTERS = (
    *("attention", "heads", "mask", "norm_swiglu", "rope", "gqa", "decoder_layer"),
    *("kv_cache", "drop_in", "online_softmax", "decode_loop", "parallel"),
    "encoder_decoder",
)

Wrong = TypeVar("Wrong", bound=Callable[..., Tensor])
Layer = TypeVar("Layer", bound=nn.Module)
Answer = Callable[[Callable[..., Any]], Callable[..., Any]]


def unchanged(wrong: Callable[..., Any]) -> Callable[..., Any]:
    """What a grader is handed where it grades functions with this very signature."""
    return wrong


@dataclass(frozen=True)
class Fault:
    """A wrong function, the right one, and arguments on which they differ.

    `grader` is the name of the one that rejects `answer(wrong)`. `instead_of` is a function
    and what to look for in the line that is right there. `planted` puts the fault into
    SmolLM2, or says why nothing is to be seen there. `marked_in` is the function with the
    wrong line, where it is not the wrong function itself.
    """

    wrong: Callable[..., Tensor]
    right: Callable[..., Tensor]
    arguments: Callable[[], tuple[Any, ...]]
    grader: str
    instead_of: tuple[Callable[..., Any], str]
    planted: Planted | str
    answer: Answer = unchanged
    marked_in: Callable[..., Any] | None = None

    @property
    def chapter(self) -> str:
        """The notebook that the fault belongs to."""
        return self.wrong.__module__.rpartition(".")[2]

    @property
    def title(self) -> str:
        """What is wrong: the first paragraph of the faulty function's docstring."""
        return self.paragraph(0).rstrip(".")

    @property
    def symptom(self) -> str:
        """What one sees: the second paragraph."""
        return self.paragraph(1)

    @property
    def wrong_line(self) -> str:
        """The statement of the faulty function that is marked `# wrong`."""
        return statement(self.marked_in or self.wrong, is_marked)

    @property
    def right_line(self) -> str:
        """The statement that should stand in its place."""
        function, words = self.instead_of
        return statement(function, lambda line: words in line)

    def paragraph(self, number: int) -> str:
        """One of the docstring's paragraphs, on one line."""
        paragraphs = (self.wrong.__doc__ or "").strip().split("\n\n")
        return " ".join("".join(paragraphs[number : number + 1]).split())

    def run(self) -> tuple[Tensor, Tensor]:
        """The outputs of the wrong and of the right function on the same
        arguments.
        """
        arguments = self.arguments()
        return self.wrong(*arguments), self.right(*arguments)

    def grade(self) -> Grade:
        """What the grader of the exercise says of it."""
        grader = getattr(import_module("companion.exercises"), self.grader)
        return grader(self.answer(self.wrong))


FAULTS: dict[str, Fault] = {}


def imitates(
    right: Callable[..., Tensor],
    arguments: Callable[[], tuple[Any, ...]],
    grader: str,
    *,
    instead_of: tuple[Callable[..., Any], str],
    planted: Planted | str,
    answer: Answer = unchanged,
    marked_in: Callable[..., Any] | None = None,
) -> Callable[[Wrong], Wrong]:
    """Puts a wrong function into the gallery, beside the right one; see `Fault`."""

    def enter(wrong: Wrong) -> Wrong:
        FAULTS[wrong.__name__] = Fault(
            wrong, right, arguments, grader, instead_of, planted, answer, marked_in
        )
        return wrong

    return enter


def mistaken(right: Callable[..., Tensor], *arguments: Any) -> dict[str, Tensor]:
    """What the gallery's imitations of a function make of these arguments, by title; those
    that refuse them are left out.
    """
    made = {}
    for each in FAULTS.values():
        if each.right is right:
            with suppress(RuntimeError, ValueError):
                made[each.title] = each.wrong(*arguments)
    return made


def of_chapter(chapter: str) -> list[str]:
    """The names of a chapter's faults."""
    return [name for name, fault in FAULTS.items() if fault.chapter == chapter]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def with_random_weights(layer: Layer) -> Layer:
    """The layer with weights, biases and norms that are all in use."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in layer.requires_grad_(False).named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.normal_(mean, 0.3, generator=generator)
    return layer.eval()
