"""Scaled dot-product attention: one function for the weights, one for the output.

Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, equation (1).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Any function with the signature of `scaled_dot_product_attention`: layers are handed one.
Attend = Callable[..., Tensor]


def attention_weights(
    query: Float[Tensor, "*#batch q_len head_dim"],
    key: Float[Tensor, "*#batch kv_len head_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*batch q_len kv_len"]:
    """How much of each value every query takes: `softmax(query @ keyᵀ · scale)`, each row summing
    to 1.

    A bool mask keeps the scores where it is True; a float mask is added to them. A row in which
    nothing may be attended is all zeros. `scale` is 1/√head_dim unless given. The softmax runs in
    float32 at least, and its result returns to the dtype of `query`.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1), without the multiplication by V.
    """
    check_query_and_key(query, key)
    if is_causal:
        attn_mask = top_left_mask(query, key, attn_mask)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.mT * scale
    if attn_mask is None:
        return softmax(scores)
    check_mask(attn_mask, scores)
    if attn_mask.dtype == torch.bool:
        allowed, scores = attn_mask, scores.masked_fill(~attn_mask, -math.inf)
    else:
        # added in float32: in float16 a mask of the lowest number, as usual for "masked", would become -inf
        wide = torch.promote_types(scores.dtype, torch.float32)
        allowed, scores = ~attn_mask.isneginf(), scores.to(wide) + attn_mask
    # softmax of a row of -inf is 0/0; torch defines such a row as zeros, and so do we
    return softmax(scores).to(query.dtype).masked_fill(~allowed.any(dim=-1, keepdim=True), 0.0)


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

    Signature and semantics are those of `torch.nn.functional.scaled_dot_product_attention`:
    `is_causal` is aligned top-left (query i sees keys 0..i, whatever kv_len is), and `enable_gqa`
    lets each key/value head serve q_heads / kv_heads neighbouring query heads.

    Raises: ValueError when sizes, dtypes, devices or the mask do not fit together.
    Source: Vaswani et al. 2017, equation (1).
    """
    check_key_and_value(key, value)
    if enable_gqa:
        key, value = repeat_for_query_heads(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    if dropout_p:
        weights = torch.dropout(weights, dropout_p, train=True)
    return weights @ value


def softmax(scores: Float[Tensor, "*batch q_len kv_len"]) -> Float[Tensor, "*batch q_len kv_len"]:
    """Softmax over the keys, computed in float32 or wider and returned in the dtype of `scores`."""
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
    """Key and value with each head repeated until there are as many as query heads (see
    `gqa.repeat_kv`).
    """
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise ValueError(
            f"enable_gqa needs a heads axis: query is {shape(query)}, key {shape(key)} and value "
            f"{shape(value)}"
        )
    q_heads, kv_heads = query.shape[-3], key.shape[-3]
    if value.shape[-3] != kv_heads:
        raise ValueError(
            f"enable_gqa: key has {kv_heads} heads and value {value.shape[-3]}: they must be equal"
        )
    if not kv_heads or q_heads % kv_heads:
        raise ValueError(
            f"enable_gqa: query has {q_heads} heads, which {kv_heads} key heads do not divide: "
            f"q_heads must be a multiple of kv_heads"
        )
    group = q_heads // kv_heads
    return key.repeat_interleave(group, dim=-3), value.repeat_interleave(group, dim=-3)


def top_left_mask(
    query: Tensor, key: Tensor, attn_mask: Tensor | None
) -> Bool[Tensor, "q_len kv_len"]:
    """The mask that torch's `is_causal` means: query i sees keys 0..i."""
    if attn_mask is not None:
        raise ValueError(
            "is_causal=True and attn_mask were both given: pass attn_mask & causal_mask(...) alone"
        )
    return torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()


def check_query_and_key(query: Tensor, key: Tensor) -> None:
    """Refuse a query and key that have no product, in words that name the axes."""
    check_same_kind("query", query, "key", key)
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"query has head_dim {query.shape[-1]} and key {key.shape[-1]} "
            f"(query {shape(query)}, key {shape(key)}): project both to one head_dim"
        )
    if (
        query.ndim > 2
        and key.ndim > 2
        and query.shape[-3] != key.shape[-3]
        and 1 not in (query.shape[-3], key.shape[-3])
    ):
        raise ValueError(heads_differ(query.shape[-3], key.shape[-3]))
    check_leading_axes("query", query, "key", key)


def check_key_and_value(key: Tensor, value: Tensor) -> None:
    """Refuse a key and value that are not pairs."""
    check_same_kind("key", key, "value", value)
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"key has kv_len {key.shape[-2]} and value {value.shape[-2]} "
            f"(key {shape(key)}, value {shape(value)}): each key needs one value"
        )
    check_leading_axes("key", key, "value", value)


def check_mask(attn_mask: Tensor, scores: Tensor) -> None:
    """Refuse a mask that is neither bool nor float, or that does not broadcast onto the scores."""
    if attn_mask.dtype not in (torch.bool, torch.float32, scores.dtype):
        raise ValueError(
            f"attn_mask is {attn_mask.dtype}: pass a bool mask (True = may attend) or a float "
            "mask of "
            f"{scores.dtype} that is added to the scores; for a mask of 0 and 1, attn_mask.bool()"
        )
    if attn_mask.device != scores.device:
        raise ValueError(
            f"attn_mask is on {attn_mask.device} and query on {scores.device}: move one with "
            ".to(device)"
        )
    fits = len(attn_mask.shape) <= len(scores.shape) and all(
        m in (1, s) for m, s in zip(reversed(attn_mask.shape), reversed(scores.shape), strict=False)
    )
    if not fits:
        raise ValueError(
            f"attn_mask {shape(attn_mask)} does not broadcast onto the scores (..., q_len, "
            "kv_len) = "
            f"{shape(scores)}: each of its axes, from the right, must be equal or 1"
        )


def check_same_kind(name: str, x: Tensor, other_name: str, y: Tensor) -> None:
    """Refuse two tensors that torch cannot multiply: too few axes, another dtype, another
    device.
    """
    for each_name, each in ((name, x), (other_name, y)):
        if each.ndim < 2:
            raise ValueError(
                f"{each_name} is {shape(each)}: it needs at least the axes (length, head_dim)"
            )
        if not each.is_floating_point():
            raise ValueError(
                f"{each_name} is {each.dtype}: attention needs floating point, {each_name}.float()?"
            )
    if x.dtype != y.dtype:
        raise ValueError(
            f"{name} is {x.dtype} and {other_name} {y.dtype}: convert one with .to(dtype)"
        )
    if x.device != y.device:
        raise ValueError(
            f"{name} is on {x.device} and {other_name} on {y.device}: move one with .to(device)"
        )


def check_leading_axes(name: str, x: Tensor, other_name: str, y: Tensor) -> None:
    """Refuse batch axes that do not broadcast."""
    try:
        torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"the axes before the last two of {name} {shape(x)} and {other_name} {shape(y)} "
            f"do not broadcast: each pair, from the right, must be equal or contain a 1"
        ) from None


def heads_differ(q_heads: int, kv_heads: int) -> str:
    """The message for unequal head counts, with the remedy that fits them."""
    message = f"key has {kv_heads} heads and query {q_heads}: "
    if q_heads % kv_heads == 0:
        return (
            message
            + f"repeat_kv(key, {q_heads // kv_heads}) and the same for value, or enable_gqa=True?"
        )
    return (
        message
        + "they must be equal, or q_heads a multiple of kv_heads for grouped-query attention"
    )


def shape(x: Tensor) -> tuple[int, ...]:
    """A shape as the tuple that error messages quote."""
    return tuple(x.shape)
