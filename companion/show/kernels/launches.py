"""The kernels that a call launches, torch's and Triton's, and the bytes each moves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from companion.show.ledgers.traffic import in_memory, memory, moved, tensors
from companion.show.source import function_of


@dataclass(frozen=True)
class Launch:
    """One kernel: torch's operator, or the name of a Triton kernel (`triton`), and the
    bytes that it reads and writes.
    """

    name: str
    bytes_moved: int
    triton: bool = False


class Launches(TorchDispatchMode):
    """Lists what runs while it is entered. Operators that only look at memory in another
    way, or take some, launch nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Launch] = []
        self.inside = False  # of Triton, whose interpreter copies by torch

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and note it."""
        out = func(*args, **(kwargs or {}))
        size = sum(moved(func, args, kwargs or {}, out))
        if size and not self.inside:
            self.found.append(Launch(func.overloadpacket.__name__, size))
        return out

    def launch(self, kernel: Any, grid: Any, args: tuple, kwargs: dict) -> Any:
        """Launch a Triton kernel and note it: each tensor is read or written once."""
        given = {place(x): x for x in tensors(list(args))}
        size = sum(map(in_memory, given.values()))
        self.found.append(Launch(function_of(kernel).__name__, size, triton=True))
        self.inside = True
        try:
            return kernel.run(*args, grid=grid, warmup=False, **kwargs)
        finally:
            self.inside = False


def place(x: Tensor) -> tuple:
    """What tells tensors apart that lie in one memory, as halves of it do."""
    return memory(x), x.storage_offset(), x.shape


@contextmanager
def watching_triton(found: Launches) -> Iterator[None]:
    """Lets `kernel[grid](...)` be noted, where Triton is installed."""
    try:
        from triton.runtime.jit import KernelInterface
    except ImportError:
        yield
        return

    def at(kernel: Any, grid: Any) -> Callable[..., Any]:
        return lambda *args, **kwargs: found.launch(kernel, grid, args, kwargs)

    with patch.object(KernelInterface, "__getitem__", at):
        yield


def launches(
    function: Callable[..., Any], *arguments: Any, **keywords: Any
) -> list[Launch]:
    """What `function(*arguments, **keywords)` launches, in order. Bytes are counted as in
    `ledger`: nothing stays in a cache between two kernels.
    """
    found = Launches()
    with torch.no_grad(), found, watching_triton(found):
        function(*arguments, **keywords)
    return found.found
