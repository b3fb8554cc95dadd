import re

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from companion import explain_matmul

shapes = st.lists(st.sampled_from([0, 1, 2, 3]), max_size=4).map(tuple)
matmul_shapes = st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=4).map(tuple)


def matmul(a_shape, b_shape):
    """The shape that torch itself gives, or None where it refuses."""
    try:
        return tuple(torch.matmul(torch.zeros(a_shape), torch.zeros(b_shape)).shape)
    except RuntimeError:
        return None


def explained(a_shape, b_shape):
    try:
        return explain_matmul(a_shape, b_shape).shape
    except ValueError:
        return None


@given(shapes, shapes)
@settings(max_examples=500)
@example((), (2,))
@example((2, 0), (0, 3))
@example((0, 2, 3), (1, 3, 2))
@example((0, 2, 3), (2, 3, 2))
def test_agrees_with_torch_on_any_shapes(a_shape, b_shape):
    assert explained(a_shape, b_shape) == matmul(a_shape, b_shape)


@given(matmul_shapes, st.data())
@settings(max_examples=300)
def test_agrees_with_torch_where_the_matrices_fit(a_shape, data):
    b_shape = (
        *data.draw(st.lists(st.sampled_from([1, 2, 3]), max_size=2)),
        a_shape[-1],
        2,
    )
    if data.draw(st.booleans()):
        b_shape = a_shape[-1:]
    assert explained(a_shape, b_shape) == matmul(a_shape, b_shape)


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "shape", "case"),
    [
        ((3,), (3,), (), "dot product of two vectors"),
        ((2, 3), (3, 4), (2, 4), "matrix product"),
        ((3,), (3, 4), (4,), "vector times matrix"),
        ((2, 3), (3,), (2,), "matrix times vector"),
        ((5, 2, 3), (3, 4), (5, 2, 4), "batched matrix product"),
        ((3,), (5, 3, 4), (5, 4), "batched matrix product"),
        ((5, 1, 2, 3), (6, 3, 4), (5, 6, 2, 4), "batched matrix product"),
        ([2, 3], torch.Size([3, 4]), (2, 4), "matrix product"),
    ],
)
def test_names_the_case(a_shape, b_shape, shape, case):
    explanation = explain_matmul(a_shape, b_shape)
    assert explanation.shape == shape
    assert explanation.steps[0] == f"{tuple(a_shape)} @ {tuple(b_shape)}: {case}"


def test_steps_of_a_batched_product():
    assert explain_matmul((2, 1, 3, 4), (5, 4, 6)).steps == (
        "(2, 1, 3, 4) @ (5, 4, 6): batched matrix product",
        "matrices: (3, 4) @ (4, 6) sums over 4 and gives (3, 6)",
        "batch axes: (2, 1) and (5,), aligned at the right, broadcast to (2, 5)",
    )


def test_steps_of_vectors():
    assert explain_matmul((3,), (3,)).steps[1:] == (
        "a has one axis: it becomes the row (1, 3)",
        "b has one axis: it becomes the column (3, 1)",
        "matrices: (1, 3) @ (3, 1) sums over 3 and gives (1, 1)",
        "the axis added to make a matrix is removed again: (1, 1) becomes ()",
    )


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "step"),
    [
        ((4,), (5, 4, 6), "(5, 1, 6) becomes (5, 6)"),
        ((5, 3, 4), (4,), "(5, 3, 1) becomes (5, 3)"),
    ],
)
def test_an_added_axis_is_removed_within_batches(a_shape, b_shape, step):
    last = explain_matmul(a_shape, b_shape).steps[-1]
    assert last == f"the axis added to make a matrix is removed again: {step}"


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((6, 1, 2, 3), (5, 3, 4)),
    ],
)
def test_flops_are_those_that_torch_counts(a_shape, b_shape):
    with FlopCounterMode(display=False) as counter:
        torch.matmul(torch.zeros(a_shape), torch.zeros(b_shape))
    assert explain_matmul(a_shape, b_shape).flops == counter.get_total_flops()


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "message"),
    [
        (
            (2, 3),
            (2, 3),
            "the last axis of a (2, 3) is 3 and the second-to-last axis of b (2, 3) is 2: "
            "they are summed over and must be equal; b.mT would fit",
        ),
        (
            (5, 2, 3),
            (4, 6),
            "the last axis of a (5, 2, 3) is 3 and the second-to-last axis of b (4, 6) is "
            "4: they are summed over and must be equal",
        ),
        (
            (5, 2, 7),
            (4, 6),
            "the last axis of a (5, 2, 7) is 7 and the second-to-last axis of b (4, 6) is "
            "4: they are summed over and must be equal",
        ),
        (
            (2, 1),  # and a vector has no .mT
            (3,),
            "the last axis of a (2, 1) is 1 and the only axis of b (3,) is 3: they are "
            "summed over and must be equal",
        ),
        (
            (5, 2, 3, 4),
            (6, 2, 4, 7),
            "batch axis -4 is 5 in a and 6 in b (batch axes (5, 2) and (6, 2)): they must "
            "be equal, or one of them 1 or missing",
        ),
        (
            (5, 2, 3, 4),
            (3, 4, 7),
            "batch axis -3 is 2 in a and 3 in b (batch axes (5, 2) and (3,)): they must be "
            "equal, or one of them 1 or missing",
        ),
        ((2, -1), (2, 3), "a is (2, -1): a size cannot be negative"),
    ],
    ids=str,
)
def test_says_which_axis_and_what_would_fit(a_shape, b_shape, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        explain_matmul(a_shape, b_shape)


def test_an_explanation_stays_as_it_is():
    explained = explain_matmul((2, 3), (3, 4))
    assert repr(explained) == str(explained)
    with pytest.raises(AttributeError):
        explained.shape = (1,)


def test_flops_of_a_dot_product():
    assert explain_matmul((7,), (7,)).flops == 14


def test_costs_nothing_whatever_the_sizes():
    huge = explain_matmul((10**6, 10**6, 10**6), (10**6, 10**6))
    assert huge.shape == (10**6,) * 3
    assert huge.flops == 2 * 10**24


def test_shapes_are_aligned_at_the_right():
    assert dict(explain_matmul((2, 1, 3, 4), (5, 4, 16)).aligned) == {
        "a": ("2", "1", "3", "4"),
        "b": ("", "5", "4", "16"),
        "result": ("2", "5", "3", "16"),
    }


def test_printed():
    assert str(explain_matmul((5, 2, 3), (3, 14))).splitlines() == [
        "     a   5   2   3",
        "     b       3  14",
        "result   5   2  14",
        "1. (5, 2, 3) @ (3, 14): batched matrix product",
        "2. matrices: (2, 3) @ (3, 14) sums over 3 and gives (2, 14)",
        "3. batch axes: (5,) and (), aligned at the right, broadcast to (5,)",
    ]


def test_html_marks_what_is_repeated_and_what_is_summed_over():
    html = explain_matmul((2, 1, 4, 3), (5, 3, 6))._repr_html_()
    assert html.count('class="stretched"><span>1</span>') == 1
    assert html.count('class="matrix summed"><span>3</span>') == 2
    assert 'colspan="2">batch</th>' in html
    flat = explain_matmul((4, 3), (3, 6))._repr_html_()
    assert "batch</th>" not in flat
    assert "stretched" not in flat


def test_html():
    html = explain_matmul((5, 2, 3), (3, 14))._repr_html_()
    assert (
        '<th scope="row">b</th><td></td><td class="matrix summed"><span>3</span></td>'
        '<td class="matrix"><span>14</span></td></tr>'
    ) in html
    assert html.count("<li>") == 3
