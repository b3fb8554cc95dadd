"""The mistakes in single-head attention."""

import math
from functools import partial

import torch
from torch import Tensor

from companion.attention import (
    attention_weights,
    masked_softmax,
    scaled_dot_product_attention,
)
from companion.exercises.adapters import ATTEND, masked_attention
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.masks import causal_mask


def attention_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 5, 8) and a causal mask."""
    query, key, value = random(3, 1, 2, 5, 8)
    return query, key, value, causal_mask(5)


def square_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 8): as many tokens as features."""
    query, key, value = random(3, 1, 2, 8, 8)
    return query, key, value, causal_mask(8)


IN_EVERY_LAYER = Planted({ATTEND: masked_attention})
imitates_attention = partial(
    imitates,
    scaled_dot_product_attention,
    attention_arguments,
    "check_attention",
    planted=IN_EVERY_LAYER,
)


@imitates_attention(instead_of=(attention_weights, "math.sqrt"))
def no_scale(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are not divided by √head_dim.

    Almost every query reads one token alone: in SmolLM2, after “The sun rises in the”,
    the largest weight of a row is 0.97 on average; it should be 0.8.
    """
    scale = 1.0  # wrong
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=scale)


@imitates_attention(instead_of=(attention_weights, "math.sqrt"))
def scale_without_root(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are divided by head_dim, not by its root.

    The weights are too even: in SmolLM2, after “The sun rises in the”, the largest of a
    row is 0.4 on average; it should be 0.8.
    """
    scale = 1 / query.shape[-1]  # wrong
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=scale)


@imitates_attention(instead_of=(masked_softmax, "dim=-1, dtype"))
def softmax_over_queries(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The softmax runs over the queries (dim=-2), not over the keys.

    The weights of a key sum to 1, those of a query to anything, here to between 0.1 and
    2.5.
    """
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-2) @ value  # wrong


@imitates_attention(instead_of=(masked_softmax, "mask | empty"))
def mask_upside_down(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """True is read as "masked out" (nn.MultiheadAttention's meaning), not as "may
    attend".

    Each token reads those after it. The last one reads nothing, and its output is
    zeros.
    """
    if attn_mask is not None:
        attn_mask = ~attn_mask  # wrong
    return scaled_dot_product_attention(query, key, value, attn_mask)


@imitates_attention(instead_of=(masked_softmax, "mask | empty"))
def mask_after_softmax(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The mask zeroes the weights after the softmax, so that rows no longer sum to 1.

    The weights of a row sum to less than 1, the first row's to least, here to 0.09.
    """
    weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
    if attn_mask is not None:
        weights = weights * attn_mask  # wrong
    return weights @ value


@imitates(
    scaled_dot_product_attention,
    square_arguments,
    "check_attention",
    instead_of=(attention_weights, "key.mT"),
    planted="it raises, except for a prompt of as many tokens as a head has features",
)
def key_not_transposed(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The key is not transposed, which torch.matmul lets pass when kv_len equals
    head_dim.

    At most lengths an error about the sizes of two tensors; where the sizes agree, no
    error and other numbers.
    """
    scores = query @ key / math.sqrt(query.shape[-1])  # wrong
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value
