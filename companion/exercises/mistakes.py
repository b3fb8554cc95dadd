"""The mistakes of the gallery: each imitates a function and keeps its shapes."""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.masks import causal_mask
from companion.rope import apply_rope


def no_scale(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are not divided by √head_dim."""
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


def scale_without_root(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are divided by head_dim, not by its root."""
    return scaled_dot_product_attention(
        query, key, value, attn_mask, scale=1 / query.shape[-1]
    )


def softmax_over_queries(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The softmax runs over the queries (dim=-2), not over the keys."""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-2) @ value


def mask_upside_down(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """True is read as "masked out" (nn.MultiheadAttention's meaning), not as "may
    attend".
    """
    return scaled_dot_product_attention(
        query, key, value, None if attn_mask is None else ~attn_mask
    )


def mask_after_softmax(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The mask zeroes the weights after the softmax, so that rows no longer sum to
    1.
    """
    weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
    return (weights if attn_mask is None else weights * attn_mask) @ value


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


def heads_by_view(x: Tensor, num_heads: int) -> Tensor:
    """The heads are made by one reshape to (batch, heads, length, head_dim),
    without a transpose.
    """
    batch, length, hidden = x.shape
    return x.reshape(batch, num_heads, length, hidden // num_heads)


def heads_interleaved(x: Tensor, num_heads: int) -> Tensor:
    """Head h takes every num_heads-th feature, not a run of neighbors."""
    return rearrange(
        x, "... length (head_dim heads) -> ... heads length head_dim", heads=num_heads
    )


def mask_off_by_one(q_len: int, kv_len: int | None = None) -> Tensor:
    """A query sees only the keys before it (<), not itself (<=)."""
    return causal_mask(q_len, kv_len) & ~torch.eye(
        q_len, kv_len or q_len, dtype=torch.bool
    )


def mask_top_left(q_len: int, kv_len: int | None = None) -> Tensor:
    """The triangle starts at key 0 although the queries come after a cache."""
    return torch.ones(q_len, kv_len or q_len, dtype=torch.bool).tril()


def mask_reversed(q_len: int, kv_len: int | None = None) -> Tensor:
    """True above the diagonal: a query sees the future and not the past."""
    return ~causal_mask(q_len, kv_len)


def rope_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE turns the pairs (0, 1), (2, 3) ... of a checkpoint that pairs (0, d/2),
    (1, d/2 + 1) ...
    """
    first, second = x[..., 0::2], x[..., 1::2]
    half = x.shape[-1] // 2
    c, s = cos[:, None, :, :half], sin[:, None, :, :half]
    turned = torch.stack((first * c - second * s, first * s + second * c), dim=-1)
    return turned.flatten(-2)


def rope_layout_mixed(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The halves are rotated, but with angles laid out for neighbors: a a b b, not
    a b a b.
    """
    pairs = x.shape[-1] // 2
    cos, sin = (angle[..., :pairs].repeat_interleave(2, dim=-1) for angle in (cos, sin))
    return apply_rope(x, cos, sin)


def rope_backwards(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every pair is turned the other way: the sign in rotate_half is wrong."""
    return apply_rope(x, cos, -sin)


def rope_from_zero(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every token is rotated as if it stood at the first position (the position of
    a cached step forgotten).
    """
    return apply_rope(x, cos[:, :1].expand_as(cos), sin[:, :1].expand_as(sin))


def kv_tiled(x: Tensor, n_rep: int) -> Tensor:
    """Key/value heads are tiled 0 1 0 1, not repeated 0 0 1 1."""
    return repeat(
        x, "batch kv_heads length dim -> batch (group kv_heads) length dim", group=n_rep
    )
