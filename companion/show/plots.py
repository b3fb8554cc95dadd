"""Curves and bars in the page's text color; the curves are drawn with matplotlib."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from companion.show.svg import ACCENT, SECOND, Figure, Number, box, svg, text

COLORS = (ACCENT, SECOND, "#3d9a50", "#a868c8")
FEW = 12  # points that are drawn as points
LINE = 0.085  # height of a line of text, in heights of the axes
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "companion",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def curves(
    x: Sequence[Number],
    lines: Mapping[str, Tensor],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    caption: str,
    log: bool = False,
) -> Figure:
    """One curve for each name over a common x, which `log` puts on a logarithmic
    scale of base 2. The name stands at the end of its curve.

    Raises: ValueError for more curves than there are colors.
    """
    if len(lines) > len(COLORS):
        raise ValueError(
            f"{len(lines)} curves: one picture takes at most {len(COLORS)}, which can "
            "still be told apart"
        )
    with rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, 2.9), layout="constrained")
        axes = canvas.subplots()
        for y, color, marker in zip(lines.values(), COLORS, "os^D", strict=False):
            axes.plot(
                x,
                [round(value, 3) for value in y.tolist()],
                color=color,
                marker=marker if len(x) <= FEW else "",
                markersize=5,
            )
        if log:
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        name_ends(axes, list(lines))
        drawn = as_svg(canvas, alt)
    return Figure((drawn,), alt, caption)


def as_svg(canvas: Canvas, alt: str) -> str:
    """A drawn canvas as SVG in the page's text color, named for screen readers."""
    file = io.StringIO()
    canvas.savefig(
        file,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None},
    )
    label = (
        f'<svg role="img" aria-label="{html.escape(alt, quote=True)}" '
        'fill="currentColor" '
        'style="max-width:100%;height:auto" '
    )
    return inline(file.getvalue()).replace("<svg ", label, 1)


def name_ends(axes: Any, names: Sequence[str]) -> None:
    """Write each curve's name right of where it ends, far enough apart to be read,
    with a line of the curve's color from one to the other.
    """
    axes.set_ylim(axes.get_ylim())  # labels do not change it
    height_of = (axes.transScale + axes.transLimits).transform
    labels = ["\n".join(wrap(name, 14)) for name in names]
    ends = [line.get_ydata()[-1] for line in axes.lines]
    wanted = [height_of((axes.get_xlim()[1], end))[1] for end in ends]
    heights = [LINE * (1 + label.count("\n")) for label in labels]
    places = apart(wanted, heights)
    for line, label, end, place in zip(axes.lines, labels, ends, places, strict=True):
        axes.annotate(
            label,
            (line.get_xdata()[-1], end),
            (1.06, place),
            textcoords="axes fraction",
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.get_color(),
                "relpos": (0, 0.5),
                "shrinkB": 3,
            },
        )


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places as near to the wanted ones as they can be without overlap, in their
    order, and not above 1.
    """
    places = list(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for below, above in pairwise(order):
        room = (heights[below] + heights[above]) / 2
        places[above] = max(places[above], places[below] + room)
    ceiling = 1.0
    for i in reversed(order):
        places[i] = min(places[i], ceiling - heights[i] / 2)
        ceiling = places[i] - heights[i] / 2
    return places


def inline(drawn: str) -> str:
    """Matplotlib's SVG fit to stand inside a page: no metadata, styles or names
    that would leak into it.
    """
    drawn = drawn[drawn.index("<svg") :].replace("#000000", "currentColor")
    drawn = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", drawn, flags=re.DOTALL
    )
    return re.sub(r' id="[a-z]+[a-z0-9.]*_\d+"', "", drawn)


def bars(labels: Sequence[str], values: Tensor, caption: str, *, alt: str) -> Figure:
    """One horizontal bar for each label, with its value as a percentage."""
    left, widest = 12 + 8 * max(len(label) for label in labels), 180
    largest = values.max().item()
    body = []
    for i, (label, value) in enumerate(
        zip(labels, values.double().tolist(), strict=True)
    ):
        y = 4 + i * 26
        length = round(widest * value / largest, 1)
        body.append(
            text(
                left - 6,
                y + 11,
                label,
                anchor="end",
                extra='font-family="ui-monospace, monospace"',
            )
        )
        body.append(box(left, y, length, 22, opacity=0.45))
        body.append(
            text(
                left + length + 6,
                y + 11,
                f"{100 * value:.1f}%",
                anchor="start",
                size=12,
            )
        )
    return Figure(
        (svg(left + widest + 60, 8 + 26 * len(labels), "".join(body), alt),),
        alt,
        caption,
    )
