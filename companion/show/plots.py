"""Curves and bars in the page's text color; the curves are drawn with matplotlib."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from companion.show.svg import ACCENT, SECOND, Figure, Number, box, svg, text

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
    scale of base 2.
    """
    with rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, 2.9), layout="constrained")
        axes = canvas.subplots()
        for (name, y), color, marker in zip(
            lines.items(), (ACCENT, SECOND), ("o", "s"), strict=False
        ):
            axes.plot(
                x,
                [round(value, 3) for value in y.tolist()],
                color=color,
                marker=marker,
                markersize=5,
                label=name,
            )
        if log:
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.legend(frameon=False)
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
    return Figure((inline(file.getvalue()).replace("<svg ", label, 1),), alt, caption)


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
