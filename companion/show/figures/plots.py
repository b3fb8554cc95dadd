"""Plots drawn by matplotlib in the page's style, as SVG that a page can hold."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from textwrap import wrap
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from companion.show.figures.svg import Number

LINE = 0.085  # height of a line of text, in heights of the axes
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "companion",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def plot(height: Number) -> Iterator[tuple[Canvas, Any]]:
    """An empty canvas, that many inches high, and its axes; in the page's style as long
    as it is open.
    """
    with rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, height), layout="constrained")
        yield canvas, canvas.subplots()


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
