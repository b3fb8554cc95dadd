"""The gallery's faults over several ranks, and the grader of a row-parallel matrix."""

import pytest
import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion.exercises import FAULTS, check_row_parallel, parallel

NAMES = [name for name in FAULTS if hasattr(parallel, name)]


@pytest.mark.parametrize("name", NAMES)
def test_on_one_rank_nothing_is_wrong(name):
    """So a test on one device finds none of them."""
    *arguments, ranks = FAULTS[name].arguments()
    assert ranks == 2
    alone = FAULTS[name].wrong(*arguments, 1)
    if name == "o_proj_cut_by_outputs":  # which transposes, on one rank too
        arguments[1] = arguments[1].T
    torch.testing.assert_close(alone, FAULTS[name].right(*arguments, 1))


def each(inputs, weights, bias=None):
    return [F.linear(x, w, bias) for x, w in zip(inputs, weights, strict=True)]


def row_parallel(inputs, weights, bias):
    total = torch.stack(each(inputs, weights)).sum(0) + bias
    return [total.clone() for _ in inputs]


def bias_on_rank_0(inputs, weights, bias):
    first, *others = each(inputs, weights)
    return tuple([sum(others, first + bias)] * len(inputs))


def in_place(inputs, weights, bias):
    for x in inputs:
        x *= 2
    return row_parallel([x / 2 for x in inputs], weights, bias)


test_accepts = accepts(check_row_parallel, row_parallel, bias_on_rank_0)

test_rejects = rejects(
    check_row_parallel,
    (lambda x, w, b: [sum(each(x, w, b))] * len(x), "^rank 0 of 3: the bias is in there 3 times"),
    (lambda x, w, b: [sum(each(x, w))] * len(x), "bias is left out"),
    (lambda x, w, b: each(x, w, b), "this is the rank's own, with the bias"),
    (lambda x, w, b: each(x, w), "this is the rank's own$"),
    (lambda x, w, b: [sum(each(x, w)) / len(x) + b] * len(x), "averaged"),
    (lambda x, w, b: [sum(each(x, w)) + b, *each(x, w, b)[1:]], "^rank 1 of 3: .* not added up"),
    (lambda x, w, b: [sum(each(x, w)) - b] * len(x), "off by up to"),
    (lambda x, w, b: sum(each(x, w)) + b, "list of 3 tensors"),
    (lambda x, w, b: [sum(each(x, w)) + b], "list of 3 tensors"),
    (lambda x, w, b: [(sum(each(x, w)) + b).T] * len(x), "has shape"),
    (lambda x, w, b: [x[0] @ w[0]] * len(x), "raises RuntimeError"),
    (in_place, "changes what it was given"),
)  # fmt: skip
