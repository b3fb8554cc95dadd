"""The statements of one program of a kernel as a table, a column for each pass of its loop."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from companion.show.kernels.watch import ProgramStep
from companion.show.tables import Code, Shape, StepTable

SEPARATOR = ",\N{NO-BREAK SPACE}"


def program_table(
    steps: Sequence[ProgramStep],
    names: Sequence[str],
    padding: Mapping[int, int] | None = None,
) -> StepTable:
    """Statement, shape, and the values in each pass, under `names`.

    A pass begins where the first statement comes again. `padding` says how much of a
    padded axis is real ({16: 3}): the shape is the whole tile's, the values are of the
    real part.

    Raises: ValueError when there are not as many passes as names.
    """
    passes = passes_of(steps)
    if len(passes) != len(names):
        raise ValueError(f"{len(passes)} passes and {len(names)} names: name each pass")
    rows = []
    for same in zip(*passes, strict=True):
        first = same[0]
        values = (shown(step.value, padding or {}) for step in same)
        rows.append((Code(first.source), Shape(first.shape), *values))
    return StepTable(("statement", "tile", *names), rows)


def passes_of(steps: Sequence[ProgramStep]) -> list[list[ProgramStep]]:
    """The steps cut where the first statement comes again."""
    passes: list[list[ProgramStep]] = []
    for step in steps:
        if step.source == steps[0].source:
            passes.append([])
        passes[-1].append(step)
    return passes


def shown(value: Tensor | None, padding: Mapping[int, int]) -> str:
    """A number, or the numbers of a tile's real part, row after row."""
    if value is None:
        return "an address"
    real = value[tuple(slice(padding.get(n, n)) for n in value.shape)]
    if real.ndim < 2:
        return row(real)
    return " ".join(map(row, real))


def row(numbers: Tensor) -> str:
    """One number, or several in brackets, which a line break does not part."""
    if numbers.ndim == 0:
        return number(numbers)
    return f"[{SEPARATOR.join(map(number, numbers))}]"


def number(x: Tensor) -> str:
    """Three decimals, or a whole number."""
    if not x.is_floating_point():
        return str(x.item())
    return f"{x.item():.3f}".replace("-", "−").replace("inf", "∞")
