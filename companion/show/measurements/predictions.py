"""The least time of each step of a layer beside the time that it took."""

from collections.abc import Mapping
from typing import Any

from companion.show.figures.svg import Number
from companion.show.measurements.roofline import (
    Roofline,
    machine_roofline,
    measured_steps,
)
from companion.show.tables import StepTable, amount


def predicted(roofline: Roofline, step: Mapping[str, Any]) -> float:
    """The least seconds of a measured step, by its FLOPs and bytes."""
    return roofline.seconds(step["flops"], step["bytes_read"] + step["bytes_written"])


def predicted_and_measured(
    raw: Mapping[str, Any], name: str, dtype: str = "float32"
) -> StepTable:
    """Each step of a phase: what it costs, which ceiling bounds it, the least time by
    that ceiling and the time it took, in milliseconds. The last row is their sum.
    """
    roofline, steps = machine_roofline(raw, dtype), measured_steps(raw, name, dtype)
    rows = [row(roofline, step) for step in steps]
    least = sum(predicted(roofline, step) for step in steps)
    taken = sum(step["seconds"] for step in steps)
    last = ("all steps", "", "", "", *times(least, taken))
    names = ("FLOPs", "bytes", "bound by", "predicted, ms", "measured, ms", "ratio")
    return StepTable(("step", *names), [list(cells) for cells in (*rows, last)])


def row(roofline: Roofline, step: Mapping[str, Any]) -> tuple[str, ...]:
    """One step's row."""
    flops, moved = step["flops"], step["bytes_read"] + step["bytes_written"]
    bound = "FLOPs" if flops > roofline.ridge * moved else "bytes"
    return (
        step["step"],
        amount(flops) if flops else "",
        amount(moved, "B"),
        bound,
        *times(predicted(roofline, step), step["seconds"]),
    )


def times(least: Number, taken: Number) -> tuple[str, str, str]:
    """Predicted, measured, and how many times the prediction that is."""
    ratio = f"{taken / least:.1f}" if least else ""
    return milliseconds(least), milliseconds(taken), ratio


def milliseconds(seconds: Number) -> str:
    """A time in three digits, and in thousandths below 1."""
    number = 1e3 * seconds
    decimals = 3 if number < 1 else 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{decimals}f}"
