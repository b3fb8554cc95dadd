"""The graders of single-head attention and of its softmax."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.attention import masked_softmax, scaled_dot_product_attention
from companion.exercises.attention import key_not_transposed
from companion.exercises.gallery import random
from companion.exercises.graders.cases import Wrong, made
from companion.exercises.graders.grading import (
    check_numbers,
    check_tensor,
    gap,
    graded,
    same,
)
from companion.masks import causal_mask

Attend = Callable[..., Tensor]


@graded
def check_attention(attend: Attend) -> str | None:
    """Grade `attend(query, key, value, attn_mask)`, with attn_mask bool (True =
    may attend) or None.
    """
    generator = torch.Generator().manual_seed(1)
    query, key, value = torch.randn(3, 2, 6, 4, generator=generator)
    square = query[:, :4], key[:, :4], value[:, :4], None
    answer = attend(*square)
    wrong = key_not_transposed(*square)
    if not check_tensor("the output", answer, wrong) and same(answer, wrong):
        return (
            "the key is not transposed: with 4 keys of 4 features it fits, with 6 not"
        )
    return without_mask(attend, query, key, value) or with_mask(
        attend, query, key, value
    )


def without_mask(
    attend: Attend, query: Tensor, key: Tensor, value: Tensor
) -> str | None:
    """Every query sees every key."""
    expected = scaled_dot_product_attention(query, key, value)
    answer = attend(query, key, value, None)
    if problem := check_tensor("the output", answer, expected):
        return problem
    sums = attend(query, key, torch.ones_like(value), None)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        return (
            "with values of 1 the output is not 1: the weights of each query must "
            "sum to 1 (softmax over the keys)"
        )
    by_length = query.shape[-2] ** -0.5
    if same(answer, scaled_dot_product_attention(query, key, value, scale=by_length)):
        return (
            "the scores are divided by the root of the number of tokens, not √head_dim"
        )
    if not torch.allclose(answer, expected, atol=1e-5):
        return (
            f"the output is off by up to {gap(answer, expected)}: are the scores "
            "divided by √head_dim?"
        )
    return None


def with_mask(attend: Attend, query: Tensor, key: Tensor, value: Tensor) -> str | None:
    """Under a causal mask."""
    mask = causal_mask(6)
    expected = scaled_dot_product_attention(query, key, value, mask)
    answer = attend(query, key, value, mask)
    if problem := check_tensor("with a mask the output", answer, expected):
        return problem
    if same(answer, scaled_dot_product_attention(query, key, value, ~mask)):
        return "the mask is upside down: True means may attend"
    sums = attend(query, key, torch.ones_like(value), mask)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        return (
            "with a mask the weights no longer sum to 1: mask the scores with -inf, "
            "before the softmax"
        )
    if not torch.allclose(answer, expected, atol=1e-5):
        return (
            "with a causal mask the first query should return the first value "
            "alone: True means may attend"
        )
    return None


def rounded_softmax(scores: Tensor) -> Tensor:
    """Every step in the dtype of the scores."""
    terms = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return terms / terms.sum(dim=-1, keepdim=True)


SOFTMAX_WRONGLY: Wrong = {
    "each step is rounded to the dtype of the scores: go to float32 first, and round the "
    "finished weights": rounded_softmax,
    "the scores are rounded before the exponential: go to float32 first, then subtract": (
        lambda scores: (
            (scores - scores.amax(dim=-1, keepdim=True))
            .float()
            .softmax(dim=-1)
            .to(scores.dtype)
        )
    ),
    "the softmax runs over the queries (dim=-2), not over the keys": (
        lambda scores: scores.softmax(dim=-2)
    ),
    "all weights of a table sum to 1; each row should": lambda scores: (
        scores.flatten(1).softmax(dim=-1).view_as(scores)
    ),
}
ROWS = torch.tensor([0.0, 1000.0, -1000.0])[:, None]


@graded
def check_softmax(softmax: Callable[[Tensor], Tensor]) -> str | None:
    """Grade `softmax(scores)`: over the last axis, in the dtype of the scores but computed
    in float32; a score may be -inf, a row has one that is not.
    """
    scores = random(2, 3, 16)
    hidden = scores.masked_fill(scores < -1, -torch.inf)
    cases = {
        "on ordinary scores": scores,
        "with hidden keys, their scores -inf": hidden,
        "on scores near 1000": scores + 1000,
        "on rows near 0, 1000 and -1000": scores + ROWS,
        "in bfloat16": (4 * scores).bfloat16(),
        "in float16": (4 * scores).half(),
        "in float64": scores.double(),
    }
    for where, given in cases.items():
        expected, answer = masked_softmax(given.clone(), None), softmax(given.clone())
        if problem := check_tensor(f"the result {where}", answer, expected):
            return problem
        if answer.isnan().any():
            return f"{where}: not a number: subtract each row's largest score first"
        known = made(SOFTMAX_WRONGLY, given)
        if problem := check_numbers(answer, expected, known):
            return f"{where}: {problem}"
    return None
