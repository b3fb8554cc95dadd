"""The grader of single-head attention."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.attention import key_not_transposed
from companion.exercises.graders.grading import check_tensor, gap, graded, same
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
