"""Scaled dot-product attention: one function for the weights, one for the output.

Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, equation (1).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.refusals.attention import (
    check_key_and_value,
    check_leading_axes,
    check_mask,
    check_query_and_key,
    shape,
)

# Any function with the signature of `scaled_dot_product_attention`; layers take one.
Attend = Callable[..., Tensor]


def attention_weights(
    query: Float[Tensor, "*#batch q_len head_dim"],
    key: Float[Tensor, "*#batch kv_len head_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*batch q_len kv_len"]:
    """How much of each value a query takes: `softmax(query @ keyᵀ · scale)`.

    A bool mask keeps the scores where it is True; a float mask is added to them. A
    row in which nothing may be attended is all zeros. `scale` is 1/√head_dim unless
    given, and multiplies after the product, as in Hugging Face's eager attention: in
    float16 a product beyond 65504 is lost. The softmax runs in float32 at least, and
    its result returns to the dtype of `query`.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1), without the multiplication by V.
    """
    check_query_and_key(query, key)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.mT
    scores *= scale  # in place, like what follows: no second tensor of this size
    if is_causal:
        check_one_mask(attn_mask)
        return softmax(scores.masked_fill_(later(scores), -math.inf))
    if attn_mask is None:
        return softmax(scores)
    check_mask(attn_mask, scores)
    # A softmax of nothing but -inf is 0/0. torch defines such a row as zeros, and so do
    # we: it is left unmasked here and set to zero below.
    if attn_mask.dtype == torch.bool:
        nothing = ~attn_mask.any(dim=-1, keepdim=True)
        scores.masked_fill_(~(attn_mask | nothing), -math.inf)
    else:
        # in float32: a mask of float16's lowest number, common for "masked", would
        # otherwise overflow to -inf
        wide = torch.promote_types(scores.dtype, torch.float32)
        nothing = attn_mask.isneginf().all(dim=-1, keepdim=True)
        scores = scores.to(wide) + attn_mask.masked_fill(nothing, 0.0)
    return softmax(scores).to(query.dtype).masked_fill(nothing, 0.0)


def scaled_dot_product_attention(
    query: Float[Tensor, "*q_batch q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_len value_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Float[Tensor, "*batch q_len value_dim"]:
    """The weighted mean of the values: `attention_weights(query, key) @ value`.

    Signature and semantics are those of
    `torch.nn.functional.scaled_dot_product_attention`: `is_causal` is aligned
    top-left (query i sees keys 0..i, whatever kv_len is), and `enable_gqa` lets each
    key/value head serve q_heads / kv_heads neighboring query heads.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1).
    """
    check_key_and_value(key, value)
    if enable_gqa:
        key, value = repeat_for_query_heads(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    check_leading_axes("query", query, "value", value)
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout_p is {dropout_p}: it must be between 0 and 1")
    if dropout_p:
        weights = torch.dropout(weights, dropout_p, train=True)
    return weights @ value


def softmax(
    scores: Float[Tensor, "*batch q_len kv_len"],
) -> Float[Tensor, "*batch q_len kv_len"]:
    """Softmax over the keys, in float32 or wider, returned in the dtype of `scores`."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    return torch.softmax(scores, dim=-1, dtype=wide).to(scores.dtype)


def repeat_for_query_heads(
    query: Float[Tensor, "*q_batch q_heads q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_heads kv_len value_dim"],
) -> tuple[
    Float[Tensor, "*k_batch q_heads kv_len head_dim"],
    Float[Tensor, "*v_batch q_heads kv_len value_dim"],
]:
    """Repeat key and value heads until there are as many as query heads."""
    group = group_size(query, key, value)
    return key.repeat_interleave(group, dim=-3), value.repeat_interleave(group, dim=-3)


def group_size(query: Tensor, key: Tensor, value: Tensor) -> int:
    """How many query heads share a key/value head.

    Raises: ValueError when there is no heads axis, or the heads do not divide.
    """
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise ValueError(
            f"enable_gqa needs a heads axis: query is {shape(query)}, key "
            f"{shape(key)} and value {shape(value)}"
        )
    q_heads, kv_heads = query.shape[-3], key.shape[-3]
    if value.shape[-3] != kv_heads:
        raise ValueError(
            f"enable_gqa: key has {kv_heads} heads and value {value.shape[-3]}: they "
            "must be equal"
        )
    if not kv_heads or q_heads % kv_heads:
        raise ValueError(
            f"enable_gqa: query has {q_heads} heads, which {kv_heads} key heads do "
            "not divide: q_heads must be a multiple of kv_heads"
        )
    return q_heads // kv_heads


def later(scores: Float[Tensor, "*batch q_len kv_len"]) -> Bool[Tensor, "q_len kv_len"]:
    """The keys that torch's `is_causal` hides: those behind the query's own place."""
    every = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    return every.triu(diagonal=1)


def check_one_mask(attn_mask: Tensor | None) -> None:
    """Refuse a mask beside `is_causal`, which is one already."""
    if attn_mask is not None:
        raise ValueError(
            "is_causal=True and attn_mask were both given: pass attn_mask & "
            "causal_mask(...) alone"
        )
