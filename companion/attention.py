"""Scaled dot-product attention: one function for the weights, one for the output.

Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, equation (1).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.refusals import attention as refusals
from companion.refusals import guarded_by

# Any function with the signature of `scaled_dot_product_attention`; layers take one.
Attend = Callable[..., Tensor]


@guarded_by(refusals.attention_weights)
def attention_weights(
    query: Float[Tensor, "*#batch q_len head_dim"],
    key: Float[Tensor, "*#batch kv_len head_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*batch q_len kv_len"]:
    """How much of each value a query takes: `softmax(query @ keyᵀ · scale)`.

    `scale` is 1/√head_dim unless given, and multiplies after the product, as in Hugging
    Face's eager attention; the price is that in float16 a product beyond 65504 overflows.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1), without the multiplication by V.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.mT
    scores *= scale  # in place: no second tensor of this size
    if is_causal:
        scores.masked_fill_(later(scores), -math.inf)
    return masked_softmax(scores, attn_mask)


@guarded_by(refusals.scaled_dot_product_attention)
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
    `torch.nn.functional.scaled_dot_product_attention`: a bool mask keeps the scores
    where it is True, a float mask is added to them, `is_causal` is aligned top-left
    (query i sees keys 0..i, whatever kv_len is), and `enable_gqa` lets each key/value
    head serve q_heads / kv_heads neighboring query heads.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1).
    """
    if enable_gqa:
        key, value = repeat_for_query_heads(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    if dropout_p:
        weights = torch.dropout(weights, dropout_p, train=True)
    return weights @ value


def masked_softmax(
    scores: Float[Tensor, "*batch q_len kv_len"],
    mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None,
) -> Float[Tensor, "*batch q_len kv_len"]:
    """Softmax over the keys that the mask allows, in float32 at least; a row in which
    nothing is allowed is all zeros, where a softmax would be 0/0.
    """
    wide = torch.promote_types(scores.dtype, torch.float32)
    if mask is None:
        return torch.softmax(scores, dim=-1, dtype=wide).to(scores.dtype)
    if mask.dtype != torch.bool:
        # float16's lowest number, common for "masked", would overflow to -inf in float16
        hidden = mask.isneginf()
        biased = scores.to(wide) + mask.masked_fill(hidden, 0.0)
        return masked_softmax(biased, ~hidden).to(scores.dtype)
    empty = ~mask.any(dim=-1, keepdim=True)
    scores.masked_fill_(~(mask | empty), -math.inf)
    return masked_softmax(scores, None).masked_fill(empty, 0.0)


def later(scores: Float[Tensor, "*batch q_len kv_len"]) -> Bool[Tensor, "q_len kv_len"]:
    """The keys that torch's `is_causal` hides: those after the query's own place."""
    every = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
    return every.triu(diagonal=1)


def repeat_for_query_heads(
    query: Float[Tensor, "*q_batch q_heads q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_heads kv_len value_dim"],
) -> tuple[
    Float[Tensor, "*k_batch q_heads kv_len head_dim"],
    Float[Tensor, "*v_batch q_heads kv_len value_dim"],
]:
    """Repeat key and value heads until there are as many as query heads."""
    group = query.shape[-3] // key.shape[-3]
    return key.repeat_interleave(group, dim=-3), value.repeat_interleave(group, dim=-3)
