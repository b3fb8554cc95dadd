"""A machine's roofline, and a layer's steps under it: from the raw file that `make roofline`
writes.

Source: Williams, Waterman and Patterson 2009, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from companion.show.figures.plots import as_svg, plot, series
from companion.show.figures.svg import Figure, Number

PHASES = ("prefill", "decode")


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


def roofline_figure(
    raw: Mapping[str, Any], dtype: str = "float32", *, caption: str
) -> Figure:
    """The ceilings of a machine, and under them a point for each step of a layer that
    multiplies matrices, in prefill and in decode.
    """
    roofline = machine_roofline(raw, dtype)
    phases = {name: points(measured_steps(raw, name, dtype)) for name in PHASES}
    every = [point for found in phases.values() for point in found]
    left = min(x for x, _ in every) / 3
    right = max(3 * max(x for x, _ in every), 3 * roofline.ridge)
    with plot(3.6) as (canvas, axes):
        corners = [left, roofline.ridge, right]
        roof = [roofline.attainable(x) / 1e9 for x in corners]
        axes.loglog(corners, roof, color="#000000", linewidth=1.5)
        for number, (name, found) in enumerate(phases.items()):
            xs, ys = zip(*found, strict=True)
            look = series(number) | {"linestyle": "none", "label": name}
            axes.loglog(xs, [y / 1e9 for y in ys], **look)
        name_ceilings(axes, roofline, left, right)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.set_xlabel("FLOPs per byte")
        axes.set_ylabel("GFLOP/s")
        axes.legend(loc="lower right", frameon=False)
        drawn = as_svg(canvas, alternative(roofline, phases))
    return Figure((drawn,), alternative(roofline, phases), caption)


def points(steps: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(FLOPs per byte, FLOPs per second) of the steps that multiply matrices."""
    return [
        (
            step["flops"] / (step["bytes_read"] + step["bytes_written"]),
            step["flops"] / step["seconds"],
        )
        for step in steps
        if step["flops"]
    ]


def name_ceilings(axes: Any, roofline: Roofline, left: float, right: float) -> None:
    """What each of the roof's two lines is, with room above for the one."""
    _, top = axes.get_ylim()
    axes.set_ylim(top=4 * top)
    high = roofline.flops_per_second / 1e9
    label = f"products: {high:,.0f} GFLOP/s"
    place = {"textcoords": "offset points"}
    axes.annotate(label, (right, high), (0, 12), ha="right", **place)
    middle = (max(left, 0.5) * roofline.ridge) ** 0.5  # right of decode's points
    start = roofline.attainable(middle) / 1e9
    label = f"memory:\n{roofline.bytes_per_second / 1e9:,.0f} GB/s"
    axes.annotate(label, (middle, start), (8, -4), ha="left", va="top", **place)


def alternative(
    roofline: Roofline, phases: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """The figure in words."""
    parts = [
        f"Roofline: {roofline.bytes_per_second / 1e9:,.0f} GB/s up to "
        f"{roofline.ridge:.1f} FLOPs per byte, from there "
        f"{roofline.flops_per_second / 1e9:,.0f} GFLOP/s"
    ]
    for name, found in phases.items():
        least, most = min(x for x, _ in found), max(x for x, _ in found)
        slow, fast = min(y for _, y in found) / 1e9, max(y for _, y in found) / 1e9
        parts.append(
            f"{name}: {len(found)} steps at {least:.2f} to {most:.2f} FLOPs per byte, "
            f"{slow:,.1f} to {fast:,.1f} GFLOP/s"
        )
    return "; ".join(parts)
