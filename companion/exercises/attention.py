"""Single-head attention: its mistakes, and the grader that rejects them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_tensor, gap, graded
from companion.masks import causal_mask


def attention_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 5, 8) and a causal mask."""
    query, key, value = random(3, 1, 2, 5, 8)
    return query, key, value, causal_mask(5)


def square_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 8): as many tokens as features."""
    query, key, value = random(3, 1, 2, 8, 8)
    return query, key, value, causal_mask(8)


@imitates(scaled_dot_product_attention, attention_arguments)
def no_scale(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are not divided by √head_dim."""
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


@imitates(scaled_dot_product_attention, attention_arguments)
def scale_without_root(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are divided by head_dim, not by its root."""
    return scaled_dot_product_attention(
        query, key, value, attn_mask, scale=1 / query.shape[-1]
    )


@imitates(scaled_dot_product_attention, attention_arguments)
def softmax_over_queries(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The softmax runs over the queries (dim=-2), not over the keys."""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-2) @ value


@imitates(scaled_dot_product_attention, attention_arguments)
def mask_upside_down(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """True is read as "masked out" (nn.MultiheadAttention's meaning), not as "may
    attend".
    """
    return scaled_dot_product_attention(
        query, key, value, None if attn_mask is None else ~attn_mask
    )


@imitates(scaled_dot_product_attention, attention_arguments)
def mask_after_softmax(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The mask zeroes the weights after the softmax, so that rows no longer sum to
    1.
    """
    weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
    return (weights if attn_mask is None else weights * attn_mask) @ value


@imitates(scaled_dot_product_attention, square_arguments)
def key_not_transposed(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The key is not transposed, which torch.matmul lets pass when kv_len equals
    head_dim.
    """
    scores = query @ key / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value


@graded
def check_attention(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(query, key, value, attn_mask)`, with attn_mask bool (True =
    may attend) or None.
    """
    generator = torch.Generator().manual_seed(1)
    query, key, value = torch.randn(3, 2, 6, 4, generator=generator)
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
    mask = causal_mask(6)
    expected = scaled_dot_product_attention(query, key, value, mask)
    answer = attend(query, key, value, mask)
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
