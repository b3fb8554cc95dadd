import pytest
import torch

from companion import show


def test_head_sharing_draws_a_line_from_each_query_head():
    maps = {"GQA": torch.tensor([0, 0, 1, 1]), "tiled": torch.tensor([0, 1, 0, 1])}
    figure = show.head_sharing(maps, "c")
    drawn = figure._repr_html_()
    assert drawn.count("<rect") == 2 * (4 + 2)
    # query head 1 stands at 102; it reads head 0 at 84, or head 1 at 156
    assert drawn.count("M102 52 L84 82") == 1
    assert drawn.count("M102 180 L156 210") == 1
    assert drawn.count("stroke-dasharray") == 2 * 2  # what head 1 is read by
    assert "tiled: query heads 0 to 3 read [0, 1, 0, 1]" in figure.alt


def test_head_sharing_compares_the_same_query_heads():
    maps = {"four": torch.zeros(4), "eight": torch.zeros(8)}
    with pytest.raises(ValueError, match=r"maps have \[4, 8\] query heads"):
        show.head_sharing(maps, "c")
