"""The shape ledger: run a call, and list what every statement in it made.

Taken from the running code: the interpreter reports each line, and the values of its
variables give the shapes.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

import companion
from companion.show.recorder import Recorder, Step
from companion.show.tables import Code, Table, table

PACKAGE = str(Path(companion.__file__).parent)


@dataclass
class Ledger:
    """The steps of one call, and its result. Shown as a table; `steps` are the
    rows.
    """

    steps: list[Step] = field(default_factory=list)
    result: Any = None

    def table(self) -> Table:
        """The steps as a table, repeated ones in one row; axis names have a column
        when they were given.
        """
        named = any(step.symbols for step in self.steps)
        head = ("step", "shape", "FLOPs", *(("axes",) if named else ()))
        rows = []
        for _, group in groupby(
            self.steps, key=lambda step: (step.depth, step.source, step.shape)
        ):
            step, *again = group
            times = f"{1 + len(again)} × " if again else ""
            flops = f"{times}{step.flops:,}" if step.flops else ""
            rows.append(
                (
                    Code(times + step.source, step.depth),
                    step.shape,
                    flops,
                    *((step.symbols,) if named else ()),
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
    """Two ledgers of one computation, step by step: each pair gives how a step of
    either begins. Theirs stands below ours, indented.

    Raises: ValueError when a step is not there in that order, or the two tensors are
    not equal up to `within`.
    """
    rows: list[tuple[object, Code]] = []
    here, there = iter(ours.steps), iter(theirs.steps)
    for mine, other in pairs:
        a = next((step for step in here if step.source.startswith(mine)), None)
        b = next((step for step in there if step.source.startswith(other)), None)
        if a is None or b is None:
            raise ValueError(
                f"no step begins with {mine if a is None else other!r} here"
            )
        if a.shape != b.shape or not torch.allclose(
            a.value, b.value.to(a.value.dtype), rtol=0, atol=within
        ):
            raise ValueError(
                f"{a.source} {a.shape} and {b.source} {b.shape} are not equal up to "
                f"{within:g}"
            )
        rows.append((a.shape, Code(written(ours, a))))
        rows.append(("", Code(written(theirs, b), depth=1)))
    return table(("shape of both", "companion, below it Hugging Face"), rows)


def written(steps: Ledger, step: Step) -> str:
    """The statement that made a tensor; of a statement's later tensors, with the name
    behind it.
    """
    if not step.source.startswith("… "):
        return step.source
    until = steps.steps[: next(i for i, s in enumerate(steps.steps) if s is step)]
    statement = next(s for s in reversed(until) if not s.source.startswith("… "))
    return f"{statement.source}  # {step.name}"


def ledger(
    function: Callable,
    *arguments: Any,
    depth: int = 0,
    axes: Mapping[str, int] | None = None,
    package: str = PACKAGE,
    **keywords: Any,
) -> Ledger:
    """Run `function(*arguments, **keywords)` and list the tensors that its statements
    make, in order.

    `depth` is how many calls deep into the package to look: 0 lists the statements of
    `function` alone. `package` is the folder whose code is followed: this package's,
    or that of one to compare with. `axes` names sizes ({"heads": 9}), so that each
    shape is also given in words. FLOPs are those of the matrix products in a
    statement and what it calls, counted by torch (multiply and add are two).

    Raises: ValueError when two axes have one size, because the names would be
    guesses.
    """
    names = {size: name for name, size in (axes or {}).items()}
    if len(names) < len(axes or {}):
        raise ValueError(
            f"two of the axes {dict(axes or {})} have one size: choose sizes that "
            "differ"
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
