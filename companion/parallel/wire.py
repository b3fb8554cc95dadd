"""What crosses the wire: every collective that a call runs, as asked for and as run."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode

NAMES = {"all_reduce": "all_reduce", "all_gather_into_tensor": "all_gather"}
ITEMSIZE = {"double": 8, "float": 4, "c10::BFloat16": 2, "c10::Half": 2}
RAN = re.compile(r"(?:gloo|nccl):_?(all_reduce|all_gather)")


@dataclass(frozen=True)
class Collective:
    """One exchange: what every rank hands in, right after which module."""

    operation: str
    after: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that each rank hands in."""
        return prod(self.shape) * self.dtype.itemsize

    def sent(self, ranks: int) -> float:
        """Bytes that each rank sends in a ring: `2 · (K-1)/K · n`, or `(K-1)/K · n`.

        n is the size of the result: what is handed in, in an all-reduce; K times
        that in an all-gather.

        Source: Thakur et al. 2005, "Optimization of Collective Communication
        Operations in MPICH", sections 4.1 and 4.4.
        """
        if self.operation == "all_gather":
            return (ranks - 1) * float(self.nbytes)
        return 2 * (ranks - 1) / ranks * self.nbytes


class Recorder(TorchDispatchMode):
    """Sees every operation that reaches plain tensors, and notes the collectives."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Collective] = []
        self.after = ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run `func`; what a DTensor makes of it comes by here again."""
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented
        if func.namespace == "_c10d_functional":
            name = func.overloadpacket.__name__
            if name in NAMES:
                x = args[0]
                self.found.append(
                    Collective(NAMES[name], self.after, tuple(x.shape), x.dtype)
                )
        return func(*args, **(kwargs or {}))


def collectives(function: Callable[..., Any], *arguments: Any) -> list[Collective]:
    """The collectives of `function(*arguments)`, each with the module it comes after.

    Names are those within the module that is called, or is among the arguments.
    """
    recorder = Recorder()
    with following(recorder, [function, *arguments]), recorder:
        function(*arguments)
    return recorder.found


@contextmanager
def following(recorder: Recorder, among: Sequence[Any]) -> Iterator[None]:
    """Tell the recorder each module that is done; its collective is run right after."""
    roots = [each for each in among if isinstance(each, nn.Module)]
    names = {module: name for root in roots for name, module in root.named_modules()}

    def done(module: nn.Module, inputs: Any, output: Any) -> None:
        recorder.after = names.get(module, recorder.after)

    handle = register_module_forward_hook(done)
    try:
        yield
    finally:
        handle.remove()


def profiled(
    function: Callable[..., Any], *arguments: Any
) -> list[tuple[str, tuple[int, ...], int]]:
    """(operation, shape, bytes) of each collective that the back end ran, by
    torch.profiler: a second witness for `collectives`, below DTensor.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it announces itself on stderr
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(record_shapes=True, activities=activities) as profile:
        function(*arguments)
    # as Kineto reports them: torch 2.11's own events have no dtypes
    return [
        (match[1], shape, prod(shape) * ITEMSIZE[event.dtypes()[0]])
        for event in profile.profiler.kineto_results.events()
        if (match := RAN.match(event.name()))
        for shape in [tuple(event.shapes()[0])]
    ]
