"""A machine's roofline as a picture, with the steps of a layer under it."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from companion.show.plots import STYLE, as_svg
from companion.show.roofline import Roofline, machine_roofline, measured_steps
from companion.show.svg import ACCENT, SECOND, Figure

PHASES = (("prefill", ACCENT, "o"), ("decode", SECOND, "s"))


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


def roofline_figure(
    raw: Mapping[str, Any], dtype: str = "float32", *, caption: str
) -> Figure:
    """The ceilings of a machine, and under them a point for each step of a layer that
    multiplies matrices, in prefill and in decode.
    """
    roofline = machine_roofline(raw, dtype)
    phases = {name: points(measured_steps(raw, name, dtype)) for name, _, _ in PHASES}
    every = [point for found in phases.values() for point in found]
    left = min(x for x, _ in every) / 3
    right = max(3 * max(x for x, _ in every), 3 * roofline.ridge)
    with rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, 3.3), layout="constrained")
        axes = canvas.subplots()
        corners = [left, roofline.ridge, right]
        roof = [roofline.attainable(x) / 1e9 for x in corners]
        axes.loglog(corners, roof, color="#000000", linewidth=1.5)
        for name, color, marker in PHASES:
            xs, ys = zip(*phases[name], strict=True)
            giga = [y / 1e9 for y in ys]
            axes.loglog(xs, giga, marker, color=color, markersize=6, label=name)
        name_ceilings(axes, roofline, left, right)
        axes.set_xlabel("FLOPs per byte")
        axes.set_ylabel("GFLOP/s")
        axes.legend(loc="lower right", frameon=False)
        drawn = as_svg(canvas, alternative(roofline, phases))
    return Figure((drawn,), alternative(roofline, phases), caption)


def name_ceilings(axes: Any, roofline: Roofline, left: float, right: float) -> None:
    """What each of the roof's two lines is, with room above for the one."""
    _, top = axes.get_ylim()
    axes.set_ylim(top=4 * top)
    high = roofline.flops_per_second / 1e9
    label = f"products: {high:,.0f} GFLOP/s"
    place = {"textcoords": "offset points"}
    axes.annotate(label, (right, high), (0, 5), ha="right", **place)
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
