"""`explain_matmul` is torch.matmul, for any two shapes."""

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import more
from torch.utils.flop_counter import FlopCounterMode

from companion import explain_matmul

axes = st.integers(0, 3)
shapes = st.lists(axes, max_size=5).map(tuple)


# of one batch axis in two shapes: equal, or one of them 1, or a clash
BATCH = [(n, n) for n in range(4)] * 2 + [(1, 0), (1, 3), (0, 1), (2, 1)] * 2
BATCH += [(0, 3), (3, 2)]


@st.composite
def related(draw):
    """Two shapes that broadcast and fit together, but for an axis now and then."""
    rows, inner, columns = (draw(axes) for _ in range(3))
    batch = draw(st.lists(st.sampled_from(BATCH), max_size=3))
    missing = draw(st.sampled_from([(0, 0), (1, 0), (0, 1), (2, 0), (0, 3)]))
    left, right = ([pair[i] for pair in batch][missing[i] :] for i in (0, 1))
    kinds = ["matrices"] * 3 + ["a is a vector", "b is a vector", "both are", "clash"]
    kind = draw(st.sampled_from(kinds))
    a, b = (*left, rows, inner), (*right, inner, columns)
    a = (inner,) if kind in ("a is a vector", "both are") else a
    b = (inner,) if kind in ("b is a vector", "both are") else b
    return a, (*right, draw(axes), columns) if kind == "clash" else b


def by_torch(a_shape, b_shape):
    """The shape that torch gives and the multiplications that it counts, or None: it refuses."""
    try:
        with FlopCounterMode(display=False) as counter:
            product = torch.matmul(torch.ones(a_shape), torch.ones(b_shape))
    except RuntimeError:
        return None
    return product, counter.get_total_flops()


@given(st.one_of(related(), related(), st.tuples(shapes, shapes)))
@more(3)
def test_any_two_shapes_are_multiplied_or_refused_as_by_torch(pair):
    """From 0 to 5 axes of 0 to 3: the shape, the sum over each axis, and what that costs."""
    expected = by_torch(*pair)
    if expected is None:
        with pytest.raises(ValueError, match=r"must be|axes|axis"):
            explain_matmul(*pair)
        return
    product, flops = expected
    explained = explain_matmul(*pair)
    assert explained.shape == tuple(product.shape)
    inner = pair[0][-1]
    assert product.eq(inner).all()  # of ones, each element is a sum over so many
    assert explained.flops == 2 * product.numel() * inner
    if min(map(len, pair)) > 1 and prod((*product.shape, inner)):
        assert explained.flops == flops


@given(related())
@more(2)
def test_a_product_s_transpose_is_the_product_of_the_transposes(pair):
    """(a @ b).mT = b.mT @ a.mT, of shapes as well."""
    a, b = pair
    if by_torch(a, b) is None or min(len(a), len(b)) < 2:
        return
    swapped = explain_matmul((*b[:-2], b[-1], b[-2]), (*a[:-2], a[-1], a[-2]))
    shape = explain_matmul(a, b).shape
    assert swapped.shape == (*shape[:-2], shape[-1], shape[-2])


@given(related())
@more(2)
def test_the_rows_of_an_explanation_are_aligned(pair):
    """Under one another from the right: each column's axes are equal or 1, but for the matrices'."""
    if by_torch(*pair) is None:
        return
    rows = dict(explain_matmul(*pair).aligned)
    assert len({len(cells) for cells in rows.values()}) == 1
    for a, b, result in list(zip(*rows.values(), strict=True))[:-2]:
        assert result in (a, b)
        assert {a, b} <= {result, "1", ""}
