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

from companion.show.figures.legends import DASHES
from companion.show.figures.svg import Number
from companion.show.look.palette import ACTIVATIONS, EDGE, RULE, TEXT

LINE = 0.09  # height of a line of text, in heights of the axes
WIDTH, SHOWN = 340, 430  # as drawn, which a phone shows; as shown where there is room
# What matplotlib draws in, and the variables that stand there in the page.
INKS = {
    "#000000": TEXT,
    "#808080": EDGE,
    "#d0d0d0": RULE,
    "#fefefe": ACTIVATIONS,
}
BLACK, GRAY, PALE, GROUND = INKS
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "companion",
    "font.family": "sans-serif",
    "font.size": 12.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "lines.scale_dashes": False,
}
MARKERS = "os^D"


@contextmanager
def plot(height: Number) -> Iterator[tuple[Canvas, Any]]:
    """An empty canvas, that many inches high, and its axes; in the page's style as long
    as it is open.
    """
    with rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH / 72, height), layout="constrained")
        yield canvas, canvas.subplots()


def series(number: int, *, thick: bool = False, marked: bool = True) -> dict[str, Any]:
    """How the line of a series is drawn: by its dashes and its marker, all in the color of
    the text; thick if it is ours.
    """
    dashes = tuple(float(each) for each in DASHES[number].split())
    return {
        "color": BLACK,
        "linestyle": (0, dashes) if dashes else "solid",
        "linewidth": 3.2 if thick else 1.5,
        "marker": MARKERS[number] if marked else "",
        "markersize": 6,
        "markerfacecolor": GROUND if number % 2 else BLACK,
    }


def as_svg(canvas: Canvas, alt: str) -> str:
    """A drawn canvas as SVG in the page's colors, named for screen readers."""
    file = io.StringIO()
    canvas.savefig(
        file,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None},
    )
    label = (
        f'<svg role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'fill="{TEXT}" style="width:{SHOWN}px;max-width:100%;height:auto" '
    )
    return inline(file.getvalue()).replace("<svg ", label, 1)


def name_ends(axes: Any, names: Sequence[str]) -> None:
    """Write each curve's name right of where it ends, far enough apart to be read,
    with a thin line from one to the other.
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
                "color": GRAY,
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
    """Matplotlib's SVG fit to stand inside a page: its pixels, the page's colors, and no
    metadata, styles or names that would leak into it.
    """
    drawn = re.sub(r'="([\d.]+)pt"', r'="\1"', drawn[drawn.index("<svg") :])
    for color, ink in INKS.items():
        drawn = drawn.replace(color, str(ink))
    drawn = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>", "", drawn, flags=re.DOTALL
    )
    return re.sub(r' id="[a-z]+[a-z0-9.]*_\d+"', "", drawn)
