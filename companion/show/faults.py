"""The failure gallery as a table: what each mistake does to shape and numbers."""

from companion.exercises.gallery import FAULTS
from companion.show.tables import Table, table


def what_goes_wrong(*names: str) -> Table:
    """Run these faults of the gallery, and show whether the shape gives them away and
    how far off they are.

    Raises: ValueError for a name that is not in the gallery.
    """
    rows = []
    for name in names:
        if name not in FAULTS:
            raise ValueError(
                f"no fault {name!r} in the gallery: there are {', '.join(FAULTS)}"
            )
        wrong, right = FAULTS[name].run()
        same = (
            "passes" if wrong.shape == right.shape else f"fails: {tuple(wrong.shape)}"
        )
        error = f"{(wrong.double() - right.double()).abs().max().item():.1g}"
        rows.append((FAULTS[name].title, same, error, FAULTS[name].caught_by))
    return table(("mistake", "shape check", "max error", "what catches it"), rows)
