"""The shape ledger: run a call, and list what every statement in it made and cost.

Taken from the running code: the interpreter reports each line, the values of its
variables give the shapes, and torch's operators the FLOPs and bytes.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import companion
from companion.show.ledgers.axes import check_axes
from companion.show.ledgers.cost import Cost
from companion.show.ledgers.recorder import Recorder, Step
from companion.show.ledgers.repeats import together
from companion.show.tables import Code, Shape, StepTable, amount, ratio

PACKAGE = str(Path(companion.__file__).parent)


@dataclass
class Ledger:
    """The steps of one call, its result, and the `total` cost of the whole call.

    Shown as a table of steps, shapes and FLOPs; `costs()` is the one with bytes.
    """

    steps: list[Step] = field(default_factory=list)
    result: Any = None
    total: Cost = field(default_factory=Cost)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every step as plain data, repeated ones too."""
        return [
            {
                "depth": step.depth,
                "function": step.function,
                "step": step.source,
                "name": step.name,
                "shape": step.shape,
                "axes": step.symbols,
                "dtype": dtype_of(step),
                "flops": step.flops,
                "bytes_read": step.bytes_read,
                "bytes_written": step.bytes_written,
                "intensity": step.intensity,
            }
            for step in self.steps
        ]

    def table(self) -> StepTable:
        """Step, shape (below it its axes, where they are named) and FLOPs; the dtype
        too where floating point numbers change theirs. What repeats is in one row.
        """
        return StepTable(*self._columns(["FLOPs"], only_flops))

    def costs(self) -> StepTable:
        """The table with bytes: what is read and written, and the FLOPs for each byte.
        Steps that move nothing are left out; the last row is the whole call.
        """
        names = ["FLOPs", "read", "written", "FLOPs/byte"]
        head, rows = self._columns(names, all_costs)
        rows = [row for row in rows if any(row[-len(names) :])]
        empty = [""] * (len(head) - len(names) - 1)
        return StepTable(head, [*rows, ["whole call", *empty, *all_costs(self.total)]])

    def _columns(
        self, names: list[str], numbers: Callable[[Cost, str], list[str]]
    ) -> tuple[list[str], list[list[object]]]:
        """The head and rows of a table that ends with these columns."""
        floats = {step.dtype for step in self.steps if step.dtype.is_floating_point}
        rows: list[list[object]] = []
        for count, step in together(self.steps):
            times = f"{count} × " if count > 1 else ""
            dtype = [dtype_of(step)] if len(floats) > 1 else []
            code = Code(times + step.source, step.depth)
            shape = Shape(step.shape, step.symbols)
            rows.append([code, shape, *dtype, *numbers(step.cost, times)])
        return ["step", "shape", *(["dtype"] if len(floats) > 1 else []), *names], rows

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def only_flops(cost: Cost, times: str = "") -> list[str]:
    """The FLOPs, exact."""
    return [f"{times}{cost.flops:,}" if cost.flops else ""]


def all_costs(cost: Cost, times: str = "") -> list[str]:
    """FLOPs, bytes read, bytes written, each where there are some, and the intensity."""
    counts = ((cost.flops, ""), (cost.bytes_read, "B"), (cost.bytes_written, "B"))
    shown = [times + amount(n, unit) if n else "" for n, unit in counts]
    return [*shown, ratio(cost.intensity)]


def dtype_of(step: Step) -> str:
    """The dtype's name without its module."""
    return str(step.dtype).removeprefix("torch.")


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
    or that of one to compare with. `axes` names sizes (`{"heads": 9}`, or those of
    `llama_axes`), so that each shape is also given in words.

    A step costs what its statement runs, all calls in it included. FLOPs are those of
    matrix products, counted by torch (multiply and add are two). Bytes are what each
    operator reads and writes if nothing stays in a processor's cache between two
    operators. On the meta device nothing is computed or allocated, and the ledger is
    the same.

    Raises: ValueError when two axes have one size, because the names would be
    guesses.
    """
    check_axes(axes or {})
    recorder = Recorder(depth, axes or {}, package)
    before = sys.gettrace()
    with torch.inference_mode(), recorder.counter:
        # most calls are torch's own, and are passed over here
        sys.settrace(
            lambda frame, event, value: (
                recorder.enter(frame)
                if frame.f_code.co_filename.startswith(package)
                else None
            )
        )
        try:
            result = function(*arguments, **keywords)
        finally:
            sys.settrace(before)
    steps = [step for step in recorder.steps if step is not None]
    return Ledger(steps, result, recorder.counter.cost)
