"""The failure gallery: mistakes that pass every shape check, each beside the function
that it imitates.

Every fault is run, not described: `Fault.run` computes both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Wrong = TypeVar("Wrong", bound=Callable[..., Tensor])
Layer = TypeVar("Layer", bound=nn.Module)


@dataclass(frozen=True)
class Fault:
    """A wrong function, the right one, and arguments on which they differ."""

    wrong: Callable[..., Tensor]
    right: Callable[..., Tensor]
    arguments: Callable[[], tuple[Any, ...]]

    @property
    def title(self) -> str:
        """What is wrong: the first paragraph of the faulty function's docstring."""
        paragraph = (self.wrong.__doc__ or "").strip().split("\n\n")[0]
        return " ".join(paragraph.split()).rstrip(".")

    def run(self) -> tuple[Tensor, Tensor]:
        """The outputs of the wrong and of the right function on the same
        arguments.
        """
        arguments = self.arguments()
        return self.wrong(*arguments), self.right(*arguments)


FAULTS: dict[str, Fault] = {}


def imitates(
    right: Callable[..., Tensor], arguments: Callable[[], tuple[Any, ...]]
) -> Callable[[Wrong], Wrong]:
    """Puts a wrong function into the gallery, beside the right one."""

    def enter(wrong: Wrong) -> Wrong:
        FAULTS[wrong.__name__] = Fault(wrong, right, arguments)
        return wrong

    return enter


def mistaken(right: Callable[..., Tensor], *arguments: Any) -> dict[str, Tensor]:
    """What the gallery's imitations of a function make of these arguments, by title."""
    faults = [each for each in FAULTS.values() if each.right is right]
    return {each.title: each.wrong(*arguments) for each in faults}


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
