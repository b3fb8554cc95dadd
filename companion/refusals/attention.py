"""What attention refuses, in words that name the axes and say the remedy."""

import torch
from torch import Tensor


def attention_weights(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> None:
    """Refuse a query and key that have no product, and a mask that does not fit it."""
    check_query_and_key(query, key)
    check_one_mask(attn_mask, is_causal)
    if attn_mask is not None:
        before = broadcast(query.shape[:-2], key.shape[:-2])
        check_mask(attn_mask, query, (*before, query.shape[-2], key.shape[-2]))


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """Refuse tensors that are no queries, keys and values of one attention."""
    check_key_and_value(key, value)
    if enable_gqa:
        check_groups(query, key, value)
    else:
        check_query_and_key(query, key)
        check_leading_axes("query", query, "value", value)
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout_p is {dropout_p}: it must be between 0 and 1")


def check_query_and_key(query: Tensor, key: Tensor) -> None:
    """Refuse a query and key that have no product, in words that name the axes."""
    check_same_kind("query", query, "key", key)
    if not query.shape[-1]:
        raise ValueError(
            f"query is {shape(query)}: its head_dim is 0, and the scale 1/√head_dim has "
            "no value; it must be at least 1"
        )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"query has head_dim {query.shape[-1]} and key {key.shape[-1]} (query "
            f"{shape(query)}, key {shape(key)}): project both to one head_dim"
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
            f"key has kv_len {key.shape[-2]} and value {value.shape[-2]} (key "
            f"{shape(key)}, value {shape(value)}): each key needs one value"
        )
    check_leading_axes("key", key, "value", value)


def check_one_mask(attn_mask: Tensor | None, is_causal: bool) -> None:
    """Refuse a mask beside `is_causal`, which is one already."""
    if is_causal and attn_mask is not None:
        raise ValueError(
            "is_causal=True and attn_mask were both given: pass attn_mask & "
            "causal_mask(...) alone"
        )


def check_mask(attn_mask: Tensor, query: Tensor, scores: tuple[int, ...]) -> None:
    """Refuse a mask of another kind, or one that does not broadcast onto the scores."""
    if attn_mask.dtype not in (torch.bool, torch.float32, query.dtype):
        raise ValueError(
            f"attn_mask is {attn_mask.dtype}: pass a bool mask (True = may attend) "
            f"or a float mask of {query.dtype} that is added to the scores; for a "
            "mask of 0 and 1, attn_mask.bool()"
        )
    if attn_mask.device != query.device:
        raise ValueError(
            f"attn_mask is on {attn_mask.device} and query on {query.device}: move "
            "one with .to(device)"
        )
    check_fits(attn_mask, scores)


def check_fits(attn_mask: Tensor, scores: tuple[int, ...]) -> None:
    """Refuse a mask that does not broadcast onto scores of this shape."""
    fits = attn_mask.ndim <= len(scores) and all(
        m in (1, s)
        for m, s in zip(reversed(attn_mask.shape), reversed(scores), strict=False)
    )
    if not fits:
        raise ValueError(
            f"attn_mask {shape(attn_mask)} does not broadcast onto the scores (..., "
            f"q_len, kv_len) = {scores}: each of its axes, from the right, "
            "must be equal or 1"
        )


def check_groups(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Refuse key/value heads that do not each serve as many query heads."""
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


def check_same_kind(name: str, x: Tensor, other_name: str, y: Tensor) -> None:
    """Refuse two tensors that torch cannot multiply: axes, dtype, device."""
    for each_name, each in ((name, x), (other_name, y)):
        if each.ndim < 2:
            raise ValueError(
                f"{each_name} is {shape(each)}: it needs at least the axes (length, "
                "head_dim)"
            )
        if not each.is_floating_point():
            raise ValueError(
                f"{each_name} is {each.dtype}: attention needs floating point, "
                f"{each_name}.float()?"
            )
    if x.dtype != y.dtype:
        raise ValueError(
            f"{name} is {x.dtype} and {other_name} {y.dtype}: convert one with "
            ".to(dtype)"
        )
    if x.device != y.device:
        raise ValueError(
            f"{name} is on {x.device} and {other_name} on {y.device}: move one with "
            ".to(device)"
        )


def check_leading_axes(name: str, x: Tensor, other_name: str, y: Tensor) -> None:
    """Refuse batch axes that do not broadcast."""
    if x.shape[:-2] == y.shape[:-2]:
        return
    try:
        torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"the axes before the last two of {name} {shape(x)} and {other_name} "
            f"{shape(y)} do not broadcast: each pair, from the right, must be equal "
            "or contain a 1"
        ) from None


def broadcast(x: torch.Size, y: torch.Size) -> tuple[int, ...]:
    """Two shapes broadcast; equal ones, the rule, without torch's 40 µs of Python."""
    return x if x == y else torch.broadcast_shapes(x, y)


def heads_differ(q_heads: int, kv_heads: int) -> str:
    """The message for unequal head counts, with the remedy that fits them."""
    message = f"key has {kv_heads} heads and query {q_heads}: "
    if kv_heads and q_heads % kv_heads == 0:
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
