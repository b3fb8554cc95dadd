"""The failure gallery as a table: what each mistake does to shape and numbers."""

import torch
from torch import Tensor

from companion.exercises.gallery import FAULTS
from companion.show.tables import Table, table


def what_goes_wrong(*names: str) -> Table:
    """Run these faults of the gallery: the shape they give, and how far off they are.

    Raises: ValueError for a name that is not in the gallery.
    """
    rows = []
    for name in names:
        if name not in FAULTS:
            known = ", ".join(FAULTS)
            raise ValueError(f"no fault {name!r} in the gallery: there are {known}")
        wrong, right = FAULTS[name].run()
        shape = tuple(wrong.shape)
        rows.append(
            (FAULTS[name].title, shape, tuple(right.shape), difference(wrong, right))
        )
    return table(("mistake", "its shape", "right shape", "how far off"), rows)


def difference(wrong: Tensor, right: Tensor) -> str:
    """The largest error, or for masks how many entries differ."""
    if wrong.dtype == torch.bool:
        return f"{(wrong != right).sum().item()} of {right.numel()} entries"
    largest = (wrong.double() - right.double()).abs().max().item()
    return f"{largest:.0f}" if largest >= 1 else f"{largest:.1g}"
