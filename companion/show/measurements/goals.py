"""The goals of the kernels on a GPU, beside what was measured there: from the raw file that
`make bench-gpu` writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from companion.fast.kernels.goals import GPU_GOALS, in_words
from companion.show.measurements.raw import measured
from companion.show.tables import Table


def gpu_of(raw: Mapping[str, Any]) -> str:
    """Where and when a raw file was made, in one line."""
    versions = (f"{x} {raw[x]}" for x in ("torch", "triton", "transformers"))
    cuda = f"CUDA {raw['cuda']}, driver {raw['driver']}"
    return " · ".join((raw["date"], raw["gpu"], cuda, *versions))


@dataclass(frozen=True)
class GoalTable(Table):
    """A table with the machine under it, if there was one."""

    machine: str = ""

    def __repr__(self) -> str:
        return "\n".join(filter(None, (super().__repr__(), self.machine)))

    def html(self) -> str:
        """The table, and the machine."""
        return super().html() + (
            f"<p>{escape(self.machine)}</p>" if self.machine else ""
        )


def gpu_goals(raw: Mapping[str, Any] | None = None) -> GoalTable:
    """Every goal with the figure of the newest raw file, or of `raw`."""
    if raw is None:
        raw = newest()
    rows, last = [], ""
    for goal in GPU_GOALS:
        rows.append((goal.name * (goal.name != last), str(goal), in_words(goal, raw)))
        last = goal.name
    machine = gpu_of(raw) if raw else ""
    return GoalTable(("workload", "goal", "measured"), rows, machine=machine)


def newest() -> dict[str, Any] | None:
    """The newest raw file of a GPU; None where there is none."""
    try:
        return measured("gpu")
    except ValueError:
        return None
