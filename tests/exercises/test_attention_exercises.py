import math

import pytest
import torch
import torch.nn.functional as F
from grades import accepts, rejects

from companion import scaled_dot_product_attention
from companion.attention import masked_softmax
from companion.exercises import attention, check_attention, check_softmax
from companion.exercises.graders.attention import SOFTMAX_WRONGLY


def query_by_query(query, key, value, mask):
    out = torch.zeros(*query.shape[:-1], value.shape[-1])
    for i in range(query.shape[-2]):
        scores = torch.einsum("bd,bkd->bk", query[:, i], key) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = torch.where(mask[i], scores, -1e30)
        terms = (scores - scores.amax(-1, keepdim=True)).exp()
        out[:, i] = torch.einsum("bk,bkd->bd", terms, value) / terms.sum(
            -1, keepdim=True
        )
    return out


def scaled_by_length(query, key, value, mask):
    scale = query.shape[-2] ** -0.5
    return scaled_dot_product_attention(query, key, value, mask, scale=scale)


test_accepts = accepts(
    check_attention,
    scaled_dot_product_attention,
    query_by_query,
    F.scaled_dot_product_attention,
)

test_rejects = rejects(
    check_attention,
    (attention.key_not_transposed, "the key is not transposed"),
    (attention.no_scale, "√head_dim"),
    (attention.scale_without_root, "√head_dim"),
    (scaled_by_length, "root of the number of tokens"),
    (attention.softmax_over_queries, "sum to 1"),
    (attention.mask_upside_down, "upside down"),
    (attention.mask_after_softmax, "before the softmax"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v), "True means"),
    (lambda q, k, v, m: q @ k.mT, "has shape"),
    (lambda q, k, v, m: None, "not a tensor"),
    (lambda q, k, v, m: scaled_dot_product_attention(q, k, v).double(), "float64"),
)  # fmt: skip


def wide_enough(scores):
    return torch.promote_types(scores.dtype, torch.float32)


def by_steps(scores):
    wide = scores.to(wide_enough(scores))
    terms = torch.exp(wide - wide.amax(dim=-1, keepdim=True))
    return (terms / terms.sum(dim=-1, keepdim=True)).to(scores.dtype)


def by_logarithm(scores):
    wide = scores.to(wide_enough(scores))
    return (wide - wide.logsumexp(dim=-1, keepdim=True)).exp().to(scores.dtype)


def row_by_row(scores):
    rows = []
    for row in scores.flatten(0, -2).tolist():
        terms = [math.exp(score - max(row)) for score in row]
        rows.append([term / sum(terms) for term in terms])
    return torch.tensor(rows, dtype=torch.float64).view(scores.shape).to(scores.dtype)


def largest_of_all(scores):
    wide = scores.to(wide_enough(scores))
    terms = torch.exp(wide - wide.amax())
    return (terms / terms.sum(dim=-1, keepdim=True)).to(scores.dtype)


test_accepts_softmax = accepts(
    check_softmax,
    by_steps,
    by_logarithm,
    row_by_row,
    lambda scores: torch.softmax(scores, dim=-1),
    lambda scores: masked_softmax(scores, None),
)

test_rejects_softmax = rejects(
    check_softmax,
    (lambda s: s.exp() / s.exp().sum(-1, keepdim=True), "^on scores near 1000: not a"),
    (largest_of_all, "^on rows near 0, 1000 and -1000: not a number"),
    (lambda s: s.exp(), "off by"),
    (lambda s: s.float().softmax(-1), "bfloat16 is torch.float32"),
    (lambda s: s.softmax(-2), "over the queries"),
    (lambda s: s.flatten(1).softmax(-1).view_as(s), "all weights of a table"),
    (lambda s: s.softmax(-1)[..., 0], "has shape"),
)  # fmt: skip


@pytest.mark.parametrize("title", list(SOFTMAX_WRONGLY)[:2])
def test_a_softmax_that_rounds_is_told_from_one_that_does_not(title):
    message = check_softmax(SOFTMAX_WRONGLY[title]).message
    assert message.startswith("in bfloat16")
    assert title in message
