import re

import pytest
import torch

from companion import show
from companion.show.figures.bars import percent, stacked_bars


def widths(drawn):
    """The widths of the bars, in order."""
    return [float(x) for x in re.findall(r'<rect [^>]* width="([\d.]+)"', drawn)]


def test_stacked_bars_have_one_scale_and_say_their_sums():
    rows = {"short": (100, 0, 20), "long": (100, 200, 100)}
    figure = stacked_bars(rows, ("a", "b", "c"), unit="B", caption="a caption")
    (drawn,) = figure.panels
    legend, bars = widths(drawn)[:3], widths(drawn)[3:]
    assert legend == [12, 12, 12]
    assert bars == [85, 17, 85, 170, 85]  # a part of nothing has no box
    assert "120 B" in drawn
    assert (
        figure.alt == "short: a 100 B, b 0 B, c 20 B; long: a 100 B, b 200 B, c 100 B"
    )


def test_stacked_bars_refuse_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="5 parts"):
        stacked_bars({"x": (1,) * 5}, "abcde", unit="B", caption="")
    with pytest.raises(ValueError, match="x: give a size for each of"):
        stacked_bars({"x": (1, 2)}, ("a",), unit="B", caption="")


def test_shares_have_one_scale_for_all_panels():
    panels = {"as is": torch.tensor([0.5, 0.25]), "one": torch.tensor([1.0, 0.0])}
    figure = show.bars(["a", "b"], panels, "a caption")
    assert [widths(drawn) for drawn in figure.panels] == [[48, 24], [96]]
    assert figure.alt == "as is: a 50%, b 25%; one: a 100%, b 0"
    for alt, drawn in zip(figure.alt.split("; "), figure.panels, strict=True):
        assert f'aria-label="{alt}"' in drawn


def test_what_is_less_than_a_percent_is_not_nothing():
    words = [percent(share) for share in (0.0, 0.0003, 0.01, 0.254)]
    assert words == ["0", "<1%", "1%", "25%"]
