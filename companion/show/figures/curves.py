"""Curves: over a common x, or how figures grow with the length of a text, where both axes
are logarithmic.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from textwrap import wrap
from typing import Any

from torch import Tensor

from companion.show.figures.legends import check_tints
from companion.show.figures.plots import as_svg, name_ends, plot, series
from companion.show.figures.svg import Figure, Number

FEW = 12  # points that are drawn as points
Points = tuple[Sequence[Number], Sequence[Number]]
Growth = Mapping[str, Mapping[int, Number]]


def curves(
    x: Sequence[Number],
    lines: Mapping[str, Tensor],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    caption: str,
    log: bool = False,
    ours: Collection[str] = (),
) -> Figure:
    """One curve for each name over a common x, which `log` puts on a logarithmic
    scale of base 2. The name stands at the end of its curve; `ours` are thick.

    Raises: ValueError for more curves than can be told apart.
    """

    def scale(axes: Any) -> None:
        if log:
            axes.set_xscale("log", base=2)
            axes.set_xticks(x, [f"{value:g}" for value in x])

    points = {
        name: (x, [round(value, 3) for value in y.tolist()])
        for name, y in lines.items()
    }
    drawn = draw(points, scale, 3.1, (x_label, y_label), alt, ours)
    return Figure((drawn,), alt, caption)


def growth(
    lines: Growth,
    *,
    x_label: str,
    y_label: str,
    caption: str,
    ours: Collection[str] = (),
) -> Figure:
    """One curve for each name, from lengths to figures, which need not be there for
    every length; `ours` are thick. Both axes are logarithmic: what grows with a power of
    the length is a straight line, and the higher the power, the steeper.

    Raises: ValueError for more curves than can be told apart, and for one without points.
    """
    if empty := [name for name, line in lines.items() if not line]:
        raise ValueError(f"no points for {', '.join(empty)}: leave the curve out")
    lengths = sorted({length for line in lines.values() for length in line})
    points = {
        name: (list(line), [float(f"{y:.4g}") for y in line.values()])
        for name, line in lines.items()
    }
    alt = in_words(lines, x_label, y_label)
    labels = x_label, y_label
    drawn = draw(
        points, lambda axes: logarithmic(axes, lengths), 3.4, labels, alt, ours
    )
    return Figure((drawn,), alt, caption)


def draw(
    lines: Mapping[str, Points],
    scale: Callable[[Any], None],
    height: Number,
    labels: tuple[str, str],
    alt: str,
    ours: Collection[str],
) -> str:
    """The curves by dash and marker, their axes scaled and labeled."""
    check_tints(len(lines), "curves")
    with plot(height) as (canvas, axes):
        for number, (name, (x, y)) in enumerate(lines.items()):
            look = series(number, thick=name in ours, marked=len(x) <= FEW)
            axes.plot(x, y, **look)
        scale(axes)
        axes.set_xlabel("\n".join(wrap(labels[0], 30)))
        axes.set_ylabel("\n".join(wrap(labels[1], 30)))
        name_ends(axes, list(lines))
        return as_svg(canvas, alt)


def logarithmic(axes: Any, lengths: list[int]) -> None:
    """Both axes logarithmic, with numbers that are read without exponents."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [thousands(length) for length in lengths])
    axes.set_yscale("log")
    axes.yaxis.minorticks_off()
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
