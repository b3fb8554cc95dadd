"""The shape ledger: run a call, and list what every statement in it made.

Taken from the running code: the interpreter reports each line, and the values of its variables give
the shapes.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import companion
from companion.show.tables import Code, Table, table

PACKAGE = str(Path(companion.__file__).parent)


@dataclass
class Step:
    """One tensor that a statement made: `depth` calls deep, from `source`, under `name` ("" if
    returned).
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


@dataclass
class Ledger:
    """The steps of one call, and its result. Shown as a table; `steps` are the rows."""

    steps: list[Step] = field(default_factory=list)
    result: Any = None

    def table(self) -> Table:
        """The steps as a table, repeated ones in one row; axis names have a column when they
        were given.
        """
        named = any(step.symbols for step in self.steps)
        head = ("step", "shape", *(("axes",) if named else ()), "FLOPs")
        rows = []
        for _, group in groupby(self.steps, key=lambda step: (step.depth, step.source, step.shape)):
            step, *again = group
            times = f"{1 + len(again)} × " if again else ""
            flops = f"{times}{step.flops:,}" if step.flops else ""
            rows.append(
                (
                    Code(times + step.source, step.depth),
                    step.shape,
                    *((step.symbols,) if named else ()),
                    flops,
                )
            )
        return table(head, rows)

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def beside(
    ours: Ledger, theirs: Ledger, pairs: Sequence[tuple[str, str]], within: float = 1e-5
) -> Table:
    """Two ledgers of one computation, step by step: each pair gives how a step of either begins.

    Raises: ValueError when a step is not there in that order, or the two tensors are not equal up
        to `within`.
    """
    rows, here, there = [], iter(ours.steps), iter(theirs.steps)
    for mine, other in pairs:
        a = next((step for step in here if step.source.startswith(mine)), None)
        b = next((step for step in there if step.source.startswith(other)), None)
        if a is None or b is None:
            raise ValueError(f"no step begins with {mine if a is None else other!r} here")
        if a.shape != b.shape or not torch.allclose(
            a.value, b.value.to(a.value.dtype), rtol=0, atol=within
        ):
            raise ValueError(
                f"{a.source} {a.shape} and {b.source} {b.shape} are not equal up to {within:g}"
            )
        rows.append((Code(a.source), Code(b.source), a.shape))
    return table(("companion", "Hugging Face", "shape of both"), rows)


def ledger(
    function: Callable,
    *arguments: Any,
    depth: int = 0,
    axes: Mapping[str, int] | None = None,
    package: str = PACKAGE,
    **keywords: Any,
) -> Ledger:
    """Run `function(*arguments, **keywords)` and list the tensors that its statements make, in
    order.

    `depth` is how many calls deep into the package to look: 0 lists the statements of `function`
    alone. `package` is the folder whose code is followed: this package's, or that of one to compare
    with. `axes` names sizes ({"heads": 9}), so that each shape is also given in words. FLOPs are
    those of the matrix products in a statement and what it calls, counted by torch (multiply and
    add are two).

    Raises: ValueError when two axes have one size, because the names would be guesses.
    """
    names = {size: name for name, size in (axes or {}).items()}
    if len(names) < len(axes or {}):
        raise ValueError(
            f"two of the axes {dict(axes or {})} have one size: choose sizes that differ"
        )
    recorder = Recorder(depth, names, package)
    before = sys.gettrace()
    with torch.inference_mode(), recorder.counter:
        sys.settrace(recorder.enter)
        try:
            result = function(*arguments, **keywords)
        finally:
            sys.settrace(before)
    return Ledger([step for step in recorder.steps if step is not None], result)


class Recorder:
    """Follows the interpreter through the package's functions and notes what each statement
    made.
    """

    def __init__(self, depth: int, names: Mapping[int, str], package: str):
        self.depth, self.names, self.package = depth, names, package
        self.counter = FlopCounterMode(display=False)
        self.stack: list[Open] = []
        self.steps: list[Step | None] = []

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        """Called by the interpreter on each call: follow the package's functions, to the depth
        asked for.
        """
        if not followed(frame.f_code, self.package) or len(self.stack) > self.depth:
            return None
        self.stack.append(Open(frame))
        return self.step

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called on each line and return of a followed function: close the statement before,
        open the next.
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
        """Write the rows of a statement that has run, where it began: before those of the calls
        in it.
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
                f"({', '.join(self.names.get(n, str(n)) for n in shape)})" if self.names else ""
            )
            source = code if number == 0 else f"… {name}"
            depth, function = len(self.stack) - 1, top.frame.f_code.co_qualname
            cost = flops if number == 0 else 0
            rows.append(
                Step(depth, function, source, name, shape, symbols, tensor.dtype, cost, tensor)
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
    """Functions of the package, except what shows it, checks its input or is no function of its
    own.
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
    for node in ast.walk(ast.parse(source)):  # walks outside in, so that the innermost comes last
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            at.update(dict.fromkeys(range(node.lineno + shift, last + shift + 1), node))
    return at


def statement_at(code: CodeType, line: int) -> ast.stmt | None:
    """The statement that a line belongs to."""
    return statements(code).get(line)
