"""The recorder behind the ledger: follows running code line by line and notes every tensor made."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from companion.show.ledgers.axes import named
from companion.show.ledgers.cost import Cost, CostCounter
from companion.show.ledgers.statements import followed, is_guard, made, statement_at


@dataclass
class Step:
    """One tensor that a statement made: `depth` calls deep, from `source`, under
    `name` (`""` if returned). `cost` is that of the whole statement, the calls in it
    included, and stands with its first tensor. `value` is the tensor itself, in which
    what later statements change in place shows.
    """

    depth: int
    function: str
    source: str
    name: str
    shape: tuple[int, ...]
    symbols: str
    dtype: torch.dtype
    cost: Cost
    value: Tensor = field(repr=False)

    @property
    def flops(self) -> int:
        """FLOPs of the matrix products in the statement."""
        return self.cost.flops

    @property
    def bytes_read(self) -> int:
        """Bytes that the statement's operators read."""
        return self.cost.bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes that the statement's operators write."""
        return self.cost.bytes_written

    @property
    def intensity(self) -> float:
        """FLOPs for each byte read or written."""
        return self.cost.intensity


class Recorder:
    """Follows the interpreter through the package's functions and notes what each
    statement made.
    """

    def __init__(self, depth: int, axes: Mapping[str, int], package: str):
        self.depth, self.axes, self.package = depth, axes, package
        self.counter = CostCounter()
        self.stack: list[Open] = []
        self.guards = 0  # that are running
        self.steps: list[Step | None] = []

    def enter(self, frame: FrameType) -> Callable | None:
        """Called on each call of the package's: follow its functions, to the depth
        asked for, as if no guard stood before them.
        """
        if is_guard(frame.f_code, self.package):
            self.guards += 1
            return self.leave_guard
        if (
            self.guards
            or len(self.stack) > self.depth
            or not followed(frame.f_code, self.package)
        ):
            return None
        self.stack.append(Open(frame))
        return self.step

    def leave_guard(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called in a guard: what it calls is not followed until it returns."""
        self.guards -= event == "return"
        return self.leave_guard

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called on each line and return of a followed function: close the
        statement before, open the next.
        """
        top = self.stack[-1]
        statement = statement_at(frame.f_code, frame.f_lineno)
        if event == "line" and statement is not top.statement:
            self.close(top)
            top.statement, top.place = statement, len(self.steps)
            top.before = self.counter.cost
            self.steps.append(None)
        elif event == "exception" and value[0] is not StopIteration:
            top.statement = None  # it has made nothing
        elif event == "return":
            top.returned = value
            self.close(top)
            self.stack.pop()
        return self.step

    def close(self, top: "Open") -> None:
        """Write the rows of a statement that has run, where it began: before those
        of the calls in it.
        """
        results = made(top.statement, top.frame, top.returned)
        if not results or top.statement is None:
            return
        source = " ".join(ast.unparse(top.statement).split())
        cost = self.counter.cost - top.before
        rows: list[Step | None] = []
        for name, tensor in results:
            shape = tuple(tensor.shape)
            rows.append(
                Step(
                    depth=len(self.stack) - 1,
                    function=top.frame.f_code.co_qualname,
                    source=f"… {name}".rstrip() if rows else source,
                    name=name,
                    shape=shape,
                    symbols=named(shape, self.axes),
                    dtype=tensor.dtype,
                    cost=Cost() if rows else cost,
                    value=tensor,
                )
            )
        inside = [step for step in self.steps[top.place + 1 :] if step is not None]
        if len(inside) == len(results) and all(
            step.value is value
            for step, (_, value) in zip(inside, results, strict=True)
        ):
            # a call whose only step returns what is assigned here says nothing more
            del self.steps[top.place + 1 :]
        self.steps[top.place : top.place + 1] = rows


class Open:
    """A function call that is being followed, and the statement it is at."""

    def __init__(self, frame: FrameType):
        self.frame = frame
        self.statement: ast.stmt | None = None
        self.place = 0
        self.before = Cost()
        self.returned: Any = None
