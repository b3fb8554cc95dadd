"""What one program of a kernel loads, and the statements that it ran, off its steps."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from companion.show.kernels.watch import ProgramStep

LOADER = "load_rows"  # of companion.fast.kernels.matrices


@dataclass(frozen=True)
class Load:
    """Rows of a matrix that a program has read from memory, and how many bytes of it:
    padding is not read.
    """

    matrix: str
    rows: tuple[int, ...]
    bytes: int


def statements(steps: Sequence[ProgramStep]) -> Iterator[list[ProgramStep]]:
    """The steps of a kernel and its loop, those of one statement together; without the
    loader's, and what holds addresses alone.
    """
    kept = [s for s in steps if s.function != LOADER and s.value is not None]
    for _, same in groupby(kept, lambda step: (step.function, step.source)):
        yield list(same)


def loads(steps: Sequence[ProgramStep], width: int) -> Iterator[Load]:
    """Each load of matrices that are `width` numbers wide, in order. Without a mask for its
    rows (`inside`) all of them are read.
    """
    held: dict[str, Tensor] = {}
    for step in steps:
        if step.function == LOADER and step.value is not None:
            held[step.name] = step.value
        elif (matrix := loaded(step)) is not None:
            rows, inside, tile = held["rows"], held.get("inside"), held["tile"]
            count = len(rows) * width if inside is None else int(inside.sum())
            yield Load(matrix, tuple(rows.tolist()), count * tile.element_size())
            held = {}


def loaded(step: ProgramStep) -> str | None:
    """The matrix whose rows a statement loads."""
    found = re.search(rf"= {LOADER}\((\w+)", step.source)
    return found[1] if found else None
