"""How figures grow with the length of a text, on two logarithmic axes."""

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from companion.show.plots import COLORS, STYLE, as_svg, name_ends
from companion.show.svg import Figure, Number

Growth = Mapping[str, Mapping[int, Number]]


def growth(lines: Growth, *, x_label: str, y_label: str, caption: str) -> Figure:
    """One curve for each name, from lengths to figures, which need not be there for
    every length. Both axes are logarithmic: what grows with a power of the length is a
    straight line, and the higher the power, the steeper.

    Raises: ValueError for more curves than there are colors, and for one without points.
    """
    if len(lines) > len(COLORS):
        raise ValueError(
            f"{len(lines)} curves: one picture takes at most {len(COLORS)}, which can "
            "still be told apart"
        )
    if empty := [name for name, line in lines.items() if not line]:
        raise ValueError(f"no points for {', '.join(empty)}: leave the curve out")
    alt = in_words(lines, x_label, y_label)
    with rc_context(STYLE):
        canvas = Canvas(figsize=(4.6, 3.3), layout="constrained")
        axes = canvas.subplots()
        for line, color, marker in zip(lines.values(), COLORS, "os^D", strict=False):
            lengths, figures = list(line), [float(f"{y:.4g}") for y in line.values()]
            axes.plot(lengths, figures, color=color, marker=marker, markersize=5)
        logarithmic(
            axes, sorted({length for line in lines.values() for length in line})
        )
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        name_ends(axes, list(lines))
        drawn = as_svg(canvas, alt)
    return Figure((drawn,), alt, caption)


def logarithmic(axes: Any, lengths: list[int]) -> None:
    """Both axes logarithmic, with numbers that are read without exponents."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [thousands(length) for length in lengths])
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def thousands(length: int) -> str:
    """1024 is 1k, as lengths are spoken of."""
    return f"{length // 1024}k" if length % 1024 == 0 else f"{length:,}"


def in_words(lines: Growth, x_label: str, y_label: str) -> str:
    """The figure in words: where each curve begins and ends."""
    parts = []
    for name, line in lines.items():
        (first, low), *_, (last, high) = [*line.items()] * 2
        parts.append(
            f"{name} {rounded(low)} at {thousands(first)} to {rounded(high)} at "
            f"{thousands(last)}"
        )
    return f"{y_label} over {x_label}: {'; '.join(parts)}"


def rounded(number: Number) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{number:.3g}'):,.10g}"
