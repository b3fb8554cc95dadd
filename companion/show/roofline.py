"""A machine's roofline, and what a layer's steps make of it: from the raw file that
`make roofline` writes.

Source: Williams, Waterman and Patterson 2009, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from companion.show.amounts import amount
from companion.show.svg import Number
from companion.show.tables import StepTable


@dataclass(frozen=True)
class Roofline:
    """How fast a machine computes in one dtype, and how fast it reads memory."""

    flops_per_second: Number
    bytes_per_second: Number

    @property
    def ridge(self) -> float:
        """The FLOPs per byte from which on computing takes longer than reading."""
        return self.flops_per_second / self.bytes_per_second

    def seconds(self, flops: Number, bytes_moved: Number) -> float:
        """The least time: `max(FLOPs / (FLOP/s), bytes / (byte/s))`.

        Source: Williams et al. 2009, section 3.
        """
        return max(flops / self.flops_per_second, bytes_moved / self.bytes_per_second)

    def attainable(self, intensity: Number) -> Number:
        """The most FLOPs per second at that many FLOPs per byte."""
        return min(self.flops_per_second, intensity * self.bytes_per_second)


def machine_roofline(raw: Mapping[str, Any], dtype: str = "float32") -> Roofline:
    """The two ceilings of a raw file.

    Raises: ValueError when the dtype was not measured.
    """
    peaks = raw["flops_per_second"]
    if dtype not in peaks:
        raise ValueError(
            f"no products in {dtype} in this raw file: it has {', '.join(peaks)}"
        )
    return Roofline(peaks[dtype], raw["bytes_per_second"]["read"])


def measured_steps(
    raw: Mapping[str, Any], name: str, dtype: str = "float32"
) -> list[dict[str, Any]]:
    """The steps of one phase ("prefill", "decode") in one dtype.

    Raises: ValueError when that was not measured.
    """
    for case in raw["cases"]:
        if (case["name"], case["dtype"]) == (name, dtype):
            return case["steps"]
    known = ", ".join(f"{case['name']} in {case['dtype']}" for case in raw["cases"])
    raise ValueError(f"no {name} in {dtype} in this raw file: it has {known}")


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
