"""The gallery's faults over several ranks, and the grader of a row-parallel matrix."""

import pytest
import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion.exercises import (
    FAULTS,
    check_parallel_argmax,
    check_parallel_embedding,
    check_parallel_gate,
    check_parallel_heads,
    check_parallel_o_proj,
    check_row_parallel,
    parallel,
    ranks,
)
from companion.exercises.graders.grading import same

NAMES = [name for name in FAULTS if hasattr(parallel, name)]


@pytest.mark.parametrize("name", NAMES)
def test_on_one_rank_nothing_is_wrong(name):
    """So a test on one device finds none of them."""
    *arguments, two = FAULTS[name].arguments()
    assert two == 2
    alone = FAULTS[name].wrong(*arguments, 1)
    if name == "o_proj_cut_by_outputs":  # which transposes, on one rank too
        arguments[1] = arguments[1].T
    torch.testing.assert_close(alone, FAULTS[name].right(*arguments, 1))


@pytest.mark.parametrize("number", [1, 2, 4])
def test_what_ranks_should_compute_is_that_of_one_device(number):
    x, weight, bias = torch.randn(1, 5, 8), torch.randn(12, 8), torch.randn(12)
    query, (key, value) = torch.randn(1, 8, 5, 4), torch.randn(2, 1, 4, 5, 4)
    ids = torch.randint(12, (2, 7))
    grouped = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    for together, alone in (
        (ranks.linear(x, weight, bias, number), F.linear(x, weight, bias)),
        (ranks.gate(x, weight, number), F.silu(F.linear(x, weight))),
        (ranks.o_proj(x, weight, number), F.linear(x, weight)),
        (ranks.grouped(query, key, value, number), grouped),
        (ranks.embedding(ids, weight, number), F.embedding(ids, weight)),
        (ranks.next_token(x[0], weight, number), F.linear(x[0], weight).argmax(-1)),
    ):
        torch.testing.assert_close(together, alone)


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


def gate_by_columns(x, weight, ranks):
    shares = weight.view(ranks, -1, weight.shape[1])
    return torch.einsum("bli,roi->blro", x, shares).flatten(-2).sigmoid() * (
        x @ weight.T
    )


test_accepts_gate = accepts(
    check_parallel_gate, ranks.gate, gate_by_columns, lambda x, w, n: F.silu(x @ w.T)
)
test_rejects_gate = rejects(
    check_parallel_gate,
    (parallel.silu_before_the_sum, "^on 2 ranks: .* applied to the partial sums"),
    (lambda x, w, n: x @ w.T, "off by"),
    (lambda x, w, n: F.silu(x @ w[: len(w) // n].T), "has shape"),
)

test_accepts_o_proj = accepts(
    check_parallel_o_proj,
    ranks.o_proj,
    lambda x, w, n: torch.einsum("bli,oi->blo", x, w),
)
test_rejects_o_proj = rejects(
    check_parallel_o_proj,
    (parallel.o_proj_cut_by_outputs, "^on 2 ranks: W_o is cut by its outputs"),
    (lambda x, w, n: x @ w.T / n, "off by"),
)


def heads_one_by_one(query, key, value, ranks):
    group = query.shape[1] // key.shape[1]
    attend = F.scaled_dot_product_attention
    heads = [
        attend(query[:, h], key[:, h // group], value[:, h // group])
        for h in range(query.shape[1])
    ]
    return torch.stack(heads, dim=1)


test_accepts_heads = accepts(check_parallel_heads, ranks.grouped, heads_one_by_one)
test_rejects_heads = rejects(
    check_parallel_heads,
    (parallel.heads_dealt_in_turn, "^4 heads on 2 ranks: Query heads are dealt"),
    (lambda q, k, v, n: F.scaled_dot_product_attention(q, q, q), "off by"),
)

test_accepts_embedding = accepts(
    check_parallel_embedding,
    ranks.embedding,
    lambda ids, weight, n: F.one_hot(ids, len(weight)).float() @ weight,
)
test_rejects_embedding = rejects(
    check_parallel_embedding,
    (parallel.other_ranks_rows_embedded, "^on 2 ranks: .* nearest row, not zeros"),
    (lambda ids, weight, n: weight[ids % (len(weight) // n)], "off by"),
)

test_accepts_argmax = accepts(
    check_parallel_argmax, ranks.next_token, lambda x, head, n: (x @ head.T).argmax(-1)
)
test_rejects_argmax = rejects(
    check_parallel_argmax,
    (parallel.argmax_of_a_share, "^on 2 ranks: .* taken for the token"),
    (lambda x, head, n: (x @ head.T).argmax(-1).int(), "torch.int32"),
    (lambda x, head, n: (x @ head.T).argmin(-1), "off by up to"),
)


def test_of_whole_numbers_none_may_differ():
    tokens = torch.arange(100)
    assert same(tokens, tokens.clone())
    assert not same(tokens, tokens.clamp(max=98))
