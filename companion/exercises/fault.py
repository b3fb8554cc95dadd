"""What the failure gallery is made of: a wrong function next to the right one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)
