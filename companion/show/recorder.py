"""The recorder behind the ledger: follows running code line by line and notes every tensor made."""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Step:
    """One tensor that a statement made: `depth` calls deep, from `source`, under
    `name` ("" if returned).
    """

    depth: int
    function: str
    source: str
    name: str
    shape: tuple[int, ...]
    symbols: str
    dtype: torch.dtype
    flops: int
    value: Tensor = field(repr=False)


class Recorder:
    """Follows the interpreter through the package's functions and notes what each
    statement made.
    """

    def __init__(self, depth: int, names: Mapping[int, str], package: str):
        self.depth, self.names, self.package = depth, names, package
        self.counter = FlopCounterMode(display=False)
        self.stack: list[Open] = []
        self.steps: list[Step | None] = []

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        """Called by the interpreter on each call: follow the package's functions,
        to the depth asked for.
        """
        if not followed(frame.f_code, self.package) or len(self.stack) > self.depth:
            return None
        self.stack.append(Open(frame))
        return self.step

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called on each line and return of a followed function: close the
        statement before, open the next.
        """
        top = self.stack[-1]
        statement = statement_at(frame.f_code, frame.f_lineno)
        if event == "line" and statement is not top.statement:
            self.close(top)
            top.statement, top.place, top.flops = (
                statement,
                len(self.steps),
                self.counter.get_total_flops(),
            )
            self.steps.append(None)
        elif event == "return":
            top.returned = value
            self.close(top)
            self.stack.pop()
        return self.step

    def close(self, top: "Open") -> None:
        """Write the rows of a statement that has run, where it began: before those
        of the calls in it.
        """
        made = results(top)
        if not made or top.statement is None:
            return
        code = " ".join(ast.unparse(top.statement).split())
        flops = self.counter.get_total_flops() - top.flops
        rows = []
        for number, (name, tensor) in enumerate(made):
            shape = tuple(tensor.shape)
            symbols = (
                f"({', '.join(self.names.get(n, str(n)) for n in shape)})"
                if self.names
                else ""
            )
            source = code if number == 0 else f"… {name}"
            depth, function = len(self.stack) - 1, top.frame.f_code.co_qualname
            cost = flops if number == 0 else 0
            rows.append(
                Step(
                    depth,
                    function,
                    source,
                    name,
                    shape,
                    symbols,
                    tensor.dtype,
                    cost,
                    tensor,
                )
            )
        inside = [step for step in self.steps[top.place + 1 :] if step is not None]
        if len(inside) == len(made) and all(
            step.value is value for step, (_, value) in zip(inside, made, strict=True)
        ):
            del self.steps[
                top.place + 1 :
            ]  # a call whose only step returns what is assigned here says nothing more
        self.steps[top.place : top.place + 1] = rows


class Open:
    """A function call that is being followed, and the statement it is at."""

    def __init__(self, frame: FrameType):
        self.frame = frame
        self.statement: ast.stmt | None = None
        self.place = 0
        self.flops = 0
        self.returned: Any = None


def results(top: Open) -> list[tuple[str, Tensor]]:
    """The tensors that the statement assigned or returned, with their names."""
    if isinstance(top.statement, ast.Return):
        values = top.returned if isinstance(top.returned, tuple) else (top.returned,)
        return [("", value) for value in values if isinstance(value, Tensor)]
    if not isinstance(top.statement, ast.Assign):
        return []
    targets = [
        node.id
        for target in top.statement.targets
        for node in ast.walk(target)
        if isinstance(node, ast.Name)
    ]
    found = [(name, top.frame.f_locals.get(name)) for name in targets]
    return [(name, value) for name, value in found if isinstance(value, Tensor)]


def followed(code: CodeType, package: str) -> bool:
    """Functions of the package, except what shows it, checks its input or is no
    function of its own.
    """
    file = code.co_filename
    return (
        file.startswith(package)
        and "show" not in Path(file).parts
        and not code.co_name.startswith(("check", "<", "_"))
    )


@cache
def statements(code: CodeType) -> dict[int, ast.stmt]:
    """The innermost statement at every line of a function."""
    lines, first = inspect.getsourcelines(code)
    source = "if True:\n" + "".join(lines) if lines[0][0].isspace() else "".join(lines)
    shift = first - 2 if lines[0][0].isspace() else first - 1
    at = {}
    for node in ast.walk(
        ast.parse(source)
    ):  # walks outside in, so that the innermost comes last
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            at.update(dict.fromkeys(range(node.lineno + shift, last + shift + 1), node))
    return at


def statement_at(code: CodeType, line: int) -> ast.stmt | None:
    """The statement that a line belongs to."""
    return statements(code).get(line)
