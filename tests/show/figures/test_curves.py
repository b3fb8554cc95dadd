import re

import pytest
import torch
from matplotlib.figure import Figure as Canvas

from companion import show
from companion.show.figures.plots import apart, name_ends


def test_curves_are_named_where_they_end():
    lines = {
        "up": torch.tensor([0.0, 1.0]),
        "a longer name": torch.tensor([1.0, 0]),
    }
    figure = show.curves([1, 2], lines, x_label="x", y_label="y", alt="a", caption="c")
    drawn = figure._repr_html_()
    assert "legend" not in drawn
    assert "a longer name</text>" in drawn


def test_a_name_belongs_to_its_curve():
    axes = Canvas().subplots()
    axes.plot([1, 2, 3], [0.0, 0.5, 2.0])
    axes.plot([1, 2, 3], [1.0, 0.5, 0.0])
    name_ends(axes, ["rises", "falls to nothing"])
    assert [(each.get_text(), each.xy) for each in axes.texts] == [
        ("rises", (3, 2.0)),
        ("falls to\nnothing", (3, 0.0)),
    ]
    assert axes.texts[0].xyann[1] > axes.texts[1].xyann[1]


def test_curves_refuse_more_than_there_are_colors_for():
    lines = {str(i): torch.ones(2) for i in range(5)}
    with pytest.raises(ValueError, match="5 curves: one picture takes at most 4"):
        show.curves([1, 2], lines, x_label="x", y_label="y", alt="a", caption="c")


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([0.2, 0.6], [0.2, 0.6]),
        ([0.5, 0.5], [0.5, 0.6]),
        ([0.51, 0.5, 0.49], [0.69, 0.59, 0.49]),
        ([1.0, 0.99, 0.2], [0.95, 0.85, 0.2]),
    ],
)
def test_names_of_curves_do_not_overlap(wanted, places):
    assert apart(wanted, [0.1] * len(wanted)) == pytest.approx(places)


def test_curves_are_the_same_every_time():
    def draw():
        line = {"y": torch.tensor([0.1, 0.2])}
        return show.curves([1, 2], line, x_label="x", y_label="y", alt="a", caption="c")

    assert draw()._repr_html_() == draw()._repr_html_()


def test_curves_are_told_apart_without_color_and_ours_are_thick():
    lines = {name: torch.tensor([0.0, 1.0]) for name in "abcd"}
    figure = show.curves(
        [1, 2], lines, x_label="x", y_label="y", alt="a", caption="c", ours="b"
    )
    looks = re.findall(
        r'<path d="[^"]+" clip-path[^>]*style="([^"]*stroke-width: [13]\.[^"]*)"',
        figure.panels[0],
    )
    looks = [look for look in looks if "stroke: var(--look-text" in look]
    assert len(set(looks)) == 4
    assert ["stroke-width: 3.2" in look for look in looks] == [
        False,
        True,
        False,
        False,
    ]
