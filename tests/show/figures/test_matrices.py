import re

import pytest
import torch

from companion import show
from companion.show import example


def test_equation_draws_every_number():
    x, (w_q, _, _) = example.tokens(), example.weights()
    figure = show.equation([("X", x), "@", ("W", w_q), "=", ("Q", x @ w_q)], "c")
    drawn = figure._repr_html_()
    sand, steps_of_the_scale = 1, 5
    numbers = x.numel() + w_q.numel() + 6
    assert drawn.count("<rect") == numbers + sand + steps_of_the_scale
    assert "X (2, 4) @ W (4, 3) = Q (2, 3)" in figure.alt
    assert "<figcaption>c</figcaption>" in drawn
    assert 'aria-label="X (2, 4): 1, 0, 2, 1; 0, 1, 1, 3"' in drawn


def test_all_matrices_of_a_figure_have_one_scale_and_it_is_signed_where_they_are():
    left, right = torch.tensor([[1.0, 2.0]]), torch.tensor([[-8.0, 4.0]])
    figure = show.equation([("a", left), "+", ("b", right)], "c")
    strengths = re.findall(r"calc\(([\d.]+)\*", "".join(figure.panels))
    assert strengths == ["0.12", "0.25", "1.00", "0.50"]
    assert "from -8 to 8" in figure.legend
    assert "from 0 to 2" in show.equation([("a", left)], "c").legend


def test_a_negative_cell_is_marked_without_color():
    cells = show.equation([("a", torch.tensor([[-8.0, 4.0]]))], "c").panels[0]
    assert cells.count("h8l-8 8z") == 1


def test_grid_refuses_shapes_it_does_not_draw():
    with pytest.raises(ValueError, match=r"\(j, 1, n, m\) and \(k, m, p\)"):
        show.grid_of_products(torch.ones(2, 3), torch.ones(3, 2), "c")
