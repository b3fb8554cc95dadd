import pytest
import torch

from companion import show
from companion.show import example


def test_equation_draws_every_number():
    x, (w_q, _, _) = example.tokens(), example.weights()
    figure = show.equation([("X", x), "@", ("W", w_q), "=", ("Q", x @ w_q)], "c")
    drawn = figure._repr_html_()
    assert drawn.count("<rect") == x.numel() + w_q.numel() + 6
    assert "X (2, 4) @ W (4, 3) = Q (2, 3)" in figure.alt
    assert "<figcaption>c</figcaption>" in drawn


def test_grid_refuses_shapes_it_does_not_draw():
    with pytest.raises(ValueError, match=r"\(j, 1, n, m\) and \(k, m, p\)"):
        show.grid_of_products(torch.ones(2, 3), torch.ones(3, 2), "c")
