"""The shape ledger: run a call, and list what every statement in it made.

Taken from the running code: the interpreter reports each line, and the values of its variables give the shapes.
"""

import ast
import html
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import companion

PACKAGE = str(Path(companion.__file__).parent)


@dataclass
class Step:
    """One tensor that a statement made: `depth` calls deep, from `source`, under `name` ("" if returned)."""

    depth: int
    function: str
    source: str
    name: str
    shape: tuple[int, ...]
    symbols: str
    dtype: str
    flops: int


@dataclass
class Ledger:
    """The steps of one call, and its result. Shown as a table; `steps` are the rows."""

    steps: list[Step] = field(default_factory=list)
    result: Any = None

    def __repr__(self) -> str:
        rows = [("step", "shape", "axes", "FLOPs")]
        for step in self.steps:
            flops = f"{step.flops:,}" if step.flops else ""
            rows.append(("  " * step.depth + step.source, str(step.shape), step.symbols, flops))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        symbols = any(step.symbols for step in self.steps)
        head = ["step", "shape", *(["axes"] if symbols else []), "FLOPs"]
        top = "".join(f'<th scope="col">{name}</th>' for name in head)
        rows = []
        for step in self.steps:
            indent = f"padding-left:{0.5 + 1.5 * step.depth}em"
            cells = [f'<td style="{indent}"><code>{html.escape(step.source)}</code></td>']
            cells.append(f"<td>{step.shape}</td>")
            cells += [f"<td>{step.symbols}</td>"] if symbols else []
            cells.append(f"<td>{step.flops:,}</td>" if step.flops else "<td></td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        return f'<table class="companion-ledger"><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def ledger(
    function: Callable, *arguments: Any, depth: int = 0, axes: Mapping[str, int] | None = None, **keywords: Any
) -> Ledger:
    """Run `function(*arguments, **keywords)` and list the tensors that its statements make, in order.

    `depth` is how many calls deep into the package to look: 0 lists the statements of `function` alone.
    `axes` names sizes ({"heads": 9}), so that each shape is also given in words. FLOPs are those of the
    matrix products in a statement and what it calls, counted by torch (multiply and add are two).

    Raises: ValueError when two axes have one size, because the names would be guesses.
    """
    names = {size: name for name, size in (axes or {}).items()}
    if len(names) < len(axes or {}):
        raise ValueError(f"two of the axes {dict(axes or {})} have one size: choose sizes that differ")
    recorder = Recorder(depth, names)
    before = sys.gettrace()
    with torch.inference_mode(), recorder.counter:
        sys.settrace(recorder.enter)
        try:
            result = function(*arguments, **keywords)
        finally:
            sys.settrace(before)
    return Ledger([step for step in recorder.steps if step is not None], result)


class Recorder:
    """Follows the interpreter through the package's functions and notes what each statement made."""

    def __init__(self, depth: int, names: Mapping[int, str]):
        self.depth, self.names = depth, names
        self.counter = FlopCounterMode(display=False)
        self.stack: list[Open] = []
        self.steps: list[Step | None] = []

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        """Called by the interpreter on each call: follow the package's functions, to the depth asked for."""
        if not followed(frame.f_code) or len(self.stack) > self.depth:
            return None
        self.stack.append(Open(frame))
        return self.step

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called on each line and return of a followed function: close the statement before, open the next."""
        top = self.stack[-1]
        statement = statement_at(frame.f_code, frame.f_lineno)
        if event == "line" and statement is not top.statement:
            self.close(top)
            top.statement, top.place, top.flops = statement, len(self.steps), self.counter.get_total_flops()
            self.steps.append(None)
        elif event == "return":
            top.returned = value
            self.close(top)
            self.stack.pop()
        return self.step

    def close(self, top: "Open") -> None:
        """Write the rows of a statement that has run, where it began: before those of the calls in it."""
        made = results(top)
        if not made or top.statement is None:
            return
        code = " ".join(ast.unparse(top.statement).split())
        flops = self.counter.get_total_flops() - top.flops
        rows = []
        for number, (name, tensor) in enumerate(made):
            shape = tuple(tensor.shape)
            symbols = f"({', '.join(self.names.get(n, str(n)) for n in shape)})" if self.names else ""
            source = code if number == 0 else f"… {name}"
            dtype = str(tensor.dtype).removeprefix("torch.")
            first = number == 0
            function = top.frame.f_code.co_qualname
            rows.append(
                Step(len(self.stack) - 1, function, source, name, shape, symbols, dtype, flops if first else 0)
            )
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
    targets = [node.id for target in top.statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    found = [(name, top.frame.f_locals.get(name)) for name in targets]
    return [(name, value) for name, value in found if isinstance(value, Tensor)]


def followed(code: CodeType) -> bool:
    """Functions of the package, except what shows it, checks its input or is no function of its own."""
    file = code.co_filename
    return file.startswith(PACKAGE) and "show" not in Path(file).parts and not code.co_name.startswith(("check", "<", "_"))


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
