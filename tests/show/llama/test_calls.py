"""Which cells of the score matrix each call computes."""

import re

import companion
from companion import show


def test_each_cell_is_numbered_crossed_out_or_never_computed():
    whole = companion.causal_mask(4)
    chunks = [companion.causal_mask(2, 2), companion.causal_mask(2, 4)]
    figure = show.calls_figure([("whole", [whole]), ("chunks", chunks)], "c")
    assert figure.alt == (
        "whole: 16 cells computed, calls made: 1; chunks: 12 cells computed, calls made: 2"
    )
    for panel, ones, twos, crossed in zip(
        figure.panels, (10, 3), (0, 7), (6, 2), strict=True
    ):
        assert panel.count(">1<") == ones
        assert panel.count(">2<") == twos
        assert len(re.findall(r"<rect", panel)) == ones + twos + crossed
