"""Two shape ledgers of one computation, step by step."""

from collections.abc import Sequence

import torch

from companion.show.ledgers.ledger import Ledger
from companion.show.ledgers.recorder import Step
from companion.show.tables import Code, Table


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
    head = "shape of both", "companion, below it Hugging Face"
    return Table(
        head, rows, f"✓ {len(pairs)} steps of both are equal within {within:g}"
    )


def written(steps: Ledger, step: Step) -> str:
    """The statement that made a tensor; of a statement's later tensors, with the name
    behind it.
    """
    if not step.source.startswith("…"):
        return step.source
    until = steps.steps[: next(i for i, s in enumerate(steps.steps) if s is step)]
    statement = next(s for s in reversed(until) if not s.source.startswith("…"))
    return f"{statement.source}  # {step.name}"
