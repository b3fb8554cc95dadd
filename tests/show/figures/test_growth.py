"""Curves of growth: powers are straight lines, and the picture says its numbers."""

import re

import pytest
from matplotlib.figure import Figure as Canvas

from companion import show
from companion.show.figures.curves import logarithmic, rounded, thousands
from companion.show.figures.plots import name_ends

LINES = {
    "square": {1024: 1.0, 2048: 4.0, 4096: 16.0},
    "linear": {1024: 0.5, 2048: 1.0},
}


def draw(lines=LINES):
    return show.growth(lines, x_label="tokens", y_label="MiB", caption="c")


def points(drawn, curve):
    """Where the points of a curve stand in the picture."""
    paths = re.findall(r'<path d="([^"]+)" clip-path[^>]*stroke-width: 1.5', drawn)
    numbers = map(float, re.findall(r"[\d.]+", paths[curve]))
    return [*zip(numbers, numbers, strict=True)]


def test_it_says_where_each_curve_begins_and_ends():
    figure = draw()
    assert figure.alt == (
        "MiB over tokens: square 1 at 1k to 16 at 4k; linear 0.5 at 1k to 1 at 2k"
    )
    assert f'aria-label="{figure.alt}"' in figure.panels[0]
    assert "<figcaption>c</figcaption>" in figure._repr_html_()


def test_it_follows_the_color_of_the_page_and_is_the_same_every_time():
    drawn = draw()._repr_html_()
    assert "#000000" not in drawn
    assert drawn == draw()._repr_html_()


def test_a_curve_may_end_before_the_others():
    drawn = draw().panels[0]
    square, linear = points(drawn, 0), points(drawn, 1)
    assert [x for x, _ in square][:2] == [x for x, _ in linear]
    assert len(square) == 3
    assert ">square</text>" in drawn
    assert ">linear</text>" in drawn


def test_a_power_is_a_straight_line_and_the_square_is_twice_as_steep():
    drawn = draw().panels[0]
    (x0, y0), (x1, y1), (x2, y2) = points(drawn, 0)
    assert (x2 - x1, y1 - y2) == pytest.approx((x1 - x0, y0 - y1), abs=1e-3)
    (_, low), (_, high) = points(drawn, 1)
    assert y0 - y1 == pytest.approx(2 * (low - high), abs=1e-3)


def test_lengths_and_figures_are_read_without_exponents():
    axes = Canvas().subplots()
    axes.plot([1024, 2048], [10.0, 20000.0])
    logarithmic(axes, [1024, 2048])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1k", "2k"]
    assert axes.yaxis.get_major_formatter()(10000.0, 0) == "10,000"
    assert thousands(16384) == "16k"
    assert thousands(1000) == "1,000"
    assert rounded(18504.0) == "18,500"
    assert rounded(0.012345) == "0.0123"


def test_names_stand_at_the_height_of_their_curves_on_a_logarithmic_axis():
    axes = Canvas().subplots()
    axes.plot([1, 2], [1.0, 1000.0])
    axes.plot([1, 2], [1.0, 31.6])
    axes.set_yscale("log")
    axes.set_ylim(1.0, 1000.0)
    name_ends(axes, ["high", "middle"])
    assert axes.texts[1].xyann[1] == pytest.approx(0.5, abs=0.01)


def test_refuses_what_could_not_be_read():
    with pytest.raises(ValueError, match="5 curves: one picture takes at most 4"):
        draw({str(i): {1: 1.0} for i in range(5)})
    with pytest.raises(ValueError, match="no points for none: leave the curve out"):
        draw({**LINES, "none": {}})
