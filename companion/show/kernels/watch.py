"""What each statement of a kernel assigns, while Triton's interpreter runs it."""

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from companion.show.ledgers.statements import names_in, statement_at, targets

Place = tuple[int, ...]


@dataclass(frozen=True)
class ProgramStep:
    """A variable that a statement of `function` assigned in a `program`, in which of its
    calls, and what it held then: a number or a tile. Of a pointer nothing is kept (None).
    """

    program: Place
    function: str
    call: int
    source: str
    name: str
    value: Tensor | None = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of the tile."""
        return () if self.value is None else tuple(self.value.shape)


def watched(
    launch: Callable[..., Any],
    arguments: tuple,
    keywords: dict[str, Any],
    functions: Sequence[str],
    program: Place | None,
) -> list[ProgramStep]:
    """The steps of one program, or of all, while the interpreter runs all."""
    watch = Watch(functions, program)
    before = sys.gettrace()
    sys.settrace(watch.enter)
    try:
        launch(*arguments, **keywords)
    finally:
        sys.settrace(before)
    return watch.steps


class Watch:
    """Follows Python through a kernel. The interpreter runs the kernel's own lines, one
    program after the other, with numpy arrays for tiles.
    """

    def __init__(self, functions: Sequence[str], program: Place | None):
        from triton.runtime.interpreter import interpreter_builder

        self.functions, self.program = functions, program
        self.builder = interpreter_builder
        self.steps: list[ProgramStep] = []
        self.calls = dict.fromkeys(functions, 0)
        self.open: list[tuple[int, ast.stmt | None]] = []

    def enter(self, frame: FrameType, event: str, value: Any) -> Callable | None:
        """Called on each call: follow the kernel's functions."""
        name = frame.f_code.co_name
        if name not in self.functions:
            return None
        if self.program not in (None, self.builder.grid_idx):
            return None
        self.open.append((self.calls[name], None))
        self.calls[name] += 1
        return self.step

    def step(self, frame: FrameType, event: str, value: Any) -> Callable:
        """Called on each line and return: note what the statement before assigned."""
        call, before = self.open[-1]
        statement = statement_at(frame.f_code, frame.f_lineno)
        if event == "return":
            self.note(frame, call, before)
            self.open.pop()
        elif event == "line" and statement is not before:
            self.note(frame, call, before)
            self.open[-1] = call, statement
        return self.step

    def note(self, frame: FrameType, call: int, statement: ast.stmt | None) -> None:
        """The variables of a statement that has run."""
        if statement is None:
            return
        source = " ".join(ast.unparse(statement).split())
        for target in targets(statement):
            for name in names_in(target):
                held = frame.f_locals.get(name)
                function = frame.f_code.co_name
                place = self.builder.grid_idx
                self.steps.append(
                    ProgramStep(place, function, call, source, name, as_tensor(held))
                )


def as_tensor(held: Any) -> Tensor | None:
    """What a variable of a kernel holds."""
    held = getattr(held, "value", held)  # of a constexpr
    if isinstance(held, bool | int | float):
        return torch.tensor(held)
    handle = getattr(held, "handle", None)
    if handle is None or held.dtype.is_ptr():
        return None
    data = torch.from_numpy(handle.data.copy()).reshape([int(n) for n in held.shape])
    # the interpreter keeps bfloat16 as bits
    return data.view(torch.bfloat16) if str(held.dtype) == "bf16" else data
