"""The failure gallery: mistakes that pass every shape check, next to the function each one
imitates.

Every fault is run, not described: `Fault.run` computes both and measures how far apart they are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.gqa import repeat_kv
from companion.heads import split_heads
from companion.masks import causal_mask
from companion.norm import rms_norm
from companion.rope import apply_rope, rope_cos_sin


@dataclass(frozen=True)
class Fault:
    """A wrong function, the right one, arguments on which they differ, and the check that tells
    them apart.
    """

    wrong: Callable[..., Tensor]
    right: Callable[..., Tensor]
    arguments: Callable[[], tuple[Any, ...]]
    caught_by: str

    @property
    def title(self) -> str:
        """What is wrong: the first line of the faulty function's docstring."""
        return (self.wrong.__doc__ or "").strip().splitlines()[0].rstrip(".")

    def run(self) -> tuple[Tensor, Tensor]:
        """The outputs of the wrong and of the right function on the same arguments."""
        arguments = self.arguments()
        return self.wrong(*arguments), self.right(*arguments)


def no_scale(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """The scores are not divided by √head_dim."""
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1.0)


def scale_without_root(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The scores are divided by head_dim, not by its root."""
    return scaled_dot_product_attention(query, key, value, attn_mask, scale=1 / query.shape[-1])


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
    """True is read as "masked out" (nn.MultiheadAttention's meaning), not as "may attend"."""
    return scaled_dot_product_attention(
        query, key, value, None if attn_mask is None else ~attn_mask
    )


def mask_after_softmax(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The mask zeroes the weights after the softmax, so that rows no longer sum to 1."""
    weights = torch.softmax(query @ key.mT / math.sqrt(query.shape[-1]), dim=-1)
    return (weights if attn_mask is None else weights * attn_mask) @ value


def key_not_transposed(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    """The key is not transposed, which torch.matmul lets pass when kv_len equals head_dim."""
    scores = query @ key / math.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value


def heads_by_view(x: Tensor, num_heads: int) -> Tensor:
    """The heads are made by one reshape to (batch, heads, length, head_dim), without a
    transpose.
    """
    batch, length, hidden = x.shape
    return x.reshape(batch, num_heads, length, hidden // num_heads)


def heads_interleaved(x: Tensor, num_heads: int) -> Tensor:
    """Head h takes every num_heads-th feature, not a run of neighbours."""
    return rearrange(x, "... length (head_dim heads) -> ... heads length head_dim", heads=num_heads)


def mask_off_by_one(q_len: int, kv_len: int | None = None) -> Tensor:
    """A query sees only the keys before it (<), not itself (<=)."""
    return causal_mask(q_len, kv_len) & ~torch.eye(q_len, kv_len or q_len, dtype=torch.bool)


def mask_top_left(q_len: int, kv_len: int | None = None) -> Tensor:
    """The triangle starts at key 0 although the queries come after a cache."""
    return torch.ones(q_len, kv_len or q_len, dtype=torch.bool).tril()


def mask_reversed(q_len: int, kv_len: int | None = None) -> Tensor:
    """True above the diagonal: a query sees the future and not the past."""
    return ~causal_mask(q_len, kv_len)


def rope_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE turns the pairs (0, 1), (2, 3) ... of a checkpoint that pairs (0, d/2), (1, d/2 + 1)
    ...
    """
    first, second = x[..., 0::2], x[..., 1::2]
    half = x.shape[-1] // 2
    c, s = cos[:, None, :, :half], sin[:, None, :, :half]
    turned = torch.stack((first * c - second * s, first * s + second * c), dim=-1)
    return turned.flatten(-2)


def rope_from_zero(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every token is rotated as if it stood at the first position (the position of a cached step
    forgotten).
    """
    return apply_rope(x, cos[:, :1].expand_as(cos), sin[:, :1].expand_as(sin))


def kv_tiled(x: Tensor, n_rep: int) -> Tensor:
    """Key/value heads are tiled 0 1 0 1, not repeated 0 0 1 1."""
    return repeat(x, "batch kv_heads length dim -> batch (group kv_heads) length dim", group=n_rep)


def norm_cast_late(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm multiplies by its weight in float32 and casts after, not before."""
    wide = x.float()
    return (weight.float() * wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(
        x.dtype
    )


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def attention_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 5, 8) and a causal mask."""
    query, key, value = random(3, 1, 2, 5, 8)
    return query, key, value, causal_mask(5)


def square_arguments() -> tuple[Tensor, ...]:
    """Query, key, value (1, 2, 8, 8): as many tokens as features."""
    query, key, value = random(3, 1, 2, 8, 8)
    return query, key, value, causal_mask(8)


def rope_arguments() -> tuple[Tensor, ...]:
    """A query (1, 2, 5, 8) at positions 3 to 7."""
    return random(1, 2, 5, 8), *rope_cos_sin(torch.arange(3, 8)[None], 8, 10000.0)


FAULTS: dict[str, Fault] = {
    fault.wrong.__name__: fault
    for fault in (
        Fault(no_scale, scaled_dot_product_attention, attention_arguments, "parity with torch"),
        Fault(
            scale_without_root,
            scaled_dot_product_attention,
            attention_arguments,
            "parity with torch",
        ),
        Fault(
            softmax_over_queries,
            scaled_dot_product_attention,
            attention_arguments,
            "rows of weights sum to 1",
        ),
        Fault(
            mask_upside_down,
            scaled_dot_product_attention,
            attention_arguments,
            "the first token's output is its value",
        ),
        Fault(
            mask_after_softmax,
            scaled_dot_product_attention,
            attention_arguments,
            "rows of weights sum to 1",
        ),
        Fault(
            key_not_transposed,
            scaled_dot_product_attention,
            square_arguments,
            "a length other than head_dim",
        ),
        Fault(
            heads_by_view, split_heads, lambda: (random(1, 5, 8), 2), "head 0 is the first columns"
        ),
        Fault(
            heads_interleaved,
            split_heads,
            lambda: (random(1, 5, 8), 2),
            "head 0 is the first columns",
        ),
        Fault(mask_off_by_one, causal_mask, lambda: (5, None), "every query sees itself"),
        Fault(mask_top_left, causal_mask, lambda: (2, 5), "the last query sees the last key"),
        Fault(mask_reversed, causal_mask, lambda: (5, None), "the first query sees one key"),
        Fault(
            rope_interleaved, apply_rope, rope_arguments, "parity with the checkpoint's reference"
        ),
        Fault(rope_from_zero, apply_rope, rope_arguments, "cached equals uncached"),
        Fault(
            kv_tiled,
            repeat_kv,
            lambda: (random(1, 2, 5, 8), 2),
            "neighbouring heads share a key head",
        ),
        Fault(
            norm_cast_late,
            rms_norm,
            lambda: (
                random(1, 5, 64, dtype=torch.bfloat16),
                random(64, dtype=torch.bfloat16),
                1e-6,
            ),
            "parity in bfloat16",
        ),
    )
}
