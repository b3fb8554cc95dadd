"""The faults of online softmax do what they say, and nothing else."""

import math

import pytest
import torch
from grades import accepts, rejects

from companion.exercises import check_causal_attention, check_merge, online_softmax
from companion.exercises.graders.online_softmax import partial_attention
from companion.exercises.online_softmax import (
    Partial,
    causal_attention,
    in_tiles,
    tiling_arguments,
)


@pytest.fixture
def arguments():
    return [x.double() for x in tiling_arguments()]


def step(so_far, scores, seen, value):
    scores = scores.masked_fill(~seen, -math.inf)
    row_max = so_far.row_max.maximum(scores.amax(dim=-1, keepdim=True))
    rescale, terms = torch.exp(so_far.row_max - row_max), torch.exp(scores - row_max)
    row_sum = so_far.row_sum * rescale + terms.sum(dim=-1, keepdim=True)
    return Partial(row_max, row_sum, so_far.acc * rescale + terms @ value)


def merge(first, second):
    row_max = first[0].maximum(second[0])
    one, two = torch.exp(first[0] - row_max), torch.exp(second[0] - row_max)
    row_sum = first[1] * one + second[1] * two
    return row_max, row_sum, first[2] * one + second[2] * two


@pytest.mark.parametrize("length", [1, 2, 5, 8, 13])
def test_the_loop_without_a_mistake_is_right(length):
    query, key, value = torch.randn(3, 2, length, 6, dtype=torch.float64)
    expected = causal_attention(query, key, value)
    torch.testing.assert_close(in_tiles(query, key, value, step), expected)


def test_a_partial_result_over_all_keys_is_attention(arguments):
    seen = torch.ones(8, 8, dtype=torch.bool).tril()
    found = partial_attention(*arguments, seen).output
    torch.testing.assert_close(found, causal_attention(*arguments))


def test_without_a_growing_maximum_nothing_needs_rescaling(arguments):
    """Equal scores: the maximum of the first tile is that of all."""
    query, key, value = arguments
    expected = causal_attention(0 * query, key, value)
    for wrong in (
        online_softmax.tiled_without_rescale,
        online_softmax.tiled_sum_not_rescaled,
        online_softmax.tiled_max_of_the_block,
    ):
        torch.testing.assert_close(wrong(0 * query, key, value), expected)
        assert (
            wrong(query, key, value) - causal_attention(*arguments)
        ).abs().max() > 0.1


def test_a_sum_that_is_not_rescaled_makes_the_weights_too_small(arguments):
    query, key, value = arguments
    sums = online_softmax.tiled_sum_not_rescaled(query, key, torch.ones_like(value))
    assert (sums < 1 + 1e-12).all()
    assert (sums < 0.9).any()
    whole = online_softmax.tiled_without_rescale(query, key, torch.ones_like(value))
    torch.testing.assert_close(whole, torch.ones_like(value))


def test_a_late_mask_changes_the_queries_that_have_a_future_in_their_tile(arguments):
    apart = online_softmax.tiled_mask_after_exp(*arguments) - causal_attention(
        *arguments
    )
    rows = apart.abs().amax(dim=(0, 1, 3)) > 1e-9
    assert rows.tolist() == [True, True, True, False] * 2
    query, key, value = arguments
    sums = online_softmax.tiled_mask_after_exp(query, key, torch.ones_like(value))
    assert (sums.amax(dim=(0, 1, 3)) < 1 - 1e-6).tolist() == rows.tolist()


def test_a_skipped_tile_is_missed_by_the_queries_that_see_it(arguments):
    apart = online_softmax.tiled_skips_the_diagonal(*arguments) - causal_attention(
        *arguments
    )
    rows = apart.abs().amax(dim=(0, 1, 3)) > 1e-9
    assert rows.tolist() == [False, False, True, True] * 2


def changed(place, made):
    """A merge with one of its three tensors made in another way."""

    def wrong(first, second):
        row_max, row_sum, acc = merge(first, second)
        one, two = torch.exp(first[0] - row_max), torch.exp(second[0] - row_max)
        answer = [row_max, row_sum, acc]
        answer[place] = made(first, second, one, two)
        return tuple(answer)

    return wrong


test_accepts = accepts(
    check_merge, merge, lambda first, second: Partial(*merge(second, first))
)

test_rejects = rejects(
    check_merge,
    (changed(0, lambda a, b, one, two: b[0]), "^row_max: .* this is the second's"),
    (changed(0, lambda a, b, one, two: a[0]), "^row_max: .* this is the first's"),
    (changed(0, lambda a, b, one, two: a[0].minimum(b[0])), "this is the smaller"),
    (changed(1, lambda a, b, one, two: a[1] + b[1]), "^row_sum: neither part"),
    (changed(1, lambda a, b, one, two: a[1] + b[1] * two), "^row_sum: the first part"),
    (changed(1, lambda a, b, one, two: a[1] * one + b[1]), "^row_sum: the second part"),
    (changed(1, lambda a, b, one, two: a[1] * two + b[1] * one), "^row_sum: it is off by"),
    (changed(2, lambda a, b, one, two: a[2] + b[2]), "^acc: neither part"),
    (changed(2, lambda a, b, one, two: a[2] + b[2] * two), "^acc: the first part"),
    (changed(2, lambda a, b, one, two: a[2] * one + b[2]), "^acc: the second part"),
    (changed(1, lambda a, b, one, two: a[1] / one + b[1] / two), "^row_sum is not a number"),
    (lambda a, b: (*merge(a, b)[:2], merge(a, b)[2] / merge(a, b)[1]), "divided by the sum"),
    (lambda a, b: merge(a, b)[2], "returned Tensor: it should be the three"),
    (lambda a, b: merge(a, b)[:2], "returned tuple: it should be the three"),
    (lambda a, b: (*merge(a, b)[:2], merge(a, b)[2][0]), "^acc has shape"),
    (lambda a, b: a.missing, "it raises AttributeError"),
)  # fmt: skip


def key_by_key(query, key, value):
    """One key at a time, and one query."""
    rows = []
    for i in range(query.shape[-2]):
        so_far = None
        for j in range(i + 1):
            score = (query[..., i, :] * key[..., j, :]).sum(-1, keepdim=True) / 4
            one = Partial(score, torch.ones_like(score), value[..., j, :])
            so_far = one if so_far is None else Partial(*merge(so_far, one))
        rows.append(so_far.output)
    return torch.stack(rows, dim=-2)


def without_a_maximum(query, key, value):
    terms = (query @ key.mT / 4).exp().tril()
    return terms @ value / terms.sum(-1, keepdim=True)


test_accepts_tiles = accepts(
    check_causal_attention,
    causal_attention,
    key_by_key,
    lambda query, key, value: in_tiles(query, key, value, step),
)

test_rejects_tiles = rejects(
    check_causal_attention,
    (
        online_softmax.tiled_without_rescale,
        "^with 8 tokens: The maximum grows, and neither",
    ),
    (online_softmax.tiled_sum_not_rescaled, "the sum is not"),
    (online_softmax.tiled_max_of_the_block, "against its own maximum"),
    (online_softmax.tiled_mask_after_exp, "the future counts"),
    (online_softmax.tiled_skips_the_diagonal, "A tile is skipped"),
    (without_a_maximum, "^with scores beyond 100: it is off by up to nan"),
    (lambda q, k, v: causal_attention(q, k, v)[..., :8, :4], "has shape"),
)


def late_mask(query, key, value):
    weights = (query @ key.mT / 4).softmax(dim=-1)
    return weights.tril() @ value


def one_key_too_many(query, key, value):
    scores = query @ key.mT / 4
    return scores.where(torch.ones_like(scores).tril(1) > 0, -torch.inf).softmax(
        -1
    ) @ value  # fmt: skip


test_rejects_untiled = rejects(
    check_causal_attention,
    (late_mask, "sum to less than 1"),
    (one_key_too_many, "some queries see keys after their own"),
    (lambda q, k, v: 2 * causal_attention(q, k, v), r"^with 8 tokens: it is off by up to \d$"),
)  # fmt: skip
