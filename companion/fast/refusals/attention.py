"""What the fast forms of attention refuse: what plain attention does, and what only it takes."""

import torch
from torch import Tensor

from companion.refusals.attention import (
    check_groups,
    check_key_and_value,
    check_leading_axes,
    check_mask,
    check_one_mask,
    check_query_and_key,
    shape,
)

PLAIN = "companion.scaled_dot_product_attention"


def tiled(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    q_block: int = 128,
    kv_block: int = 256,
) -> None:
    """Refuse what `companion.fast.tiled` does not take."""
    check_fast("tiled", query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    check_float16("tiled", query)
    check_block("q_block", q_block)
    check_block("kv_block", kv_block)


def blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    q_block: int = 64,
) -> None:
    """Refuse what `companion.fast.blocks` does not take."""
    check_fast("blocks", query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    check_float16("blocks", query)
    check_block("q_block", q_block)


def sdpa(
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
    """Refuse what only torch's slow path takes, and what its fused kernels get wrong."""
    check_fast("sdpa", query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    check_float16("sdpa", query)
    check_fused(query, value, attn_mask, is_causal, scale)


def check_fast(
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    enable_gqa: bool,
) -> None:
    """Refuse what is wrong in any attention, then what `name` alone does not take.

    Raises: ValueError that says which, and what takes it instead.
    """
    check_key_and_value(key, value)
    if enable_gqa:
        check_groups(query, key, value)
        query_of_each = query[..., :: query.shape[-3] // key.shape[-3], :, :]
    else:
        query_of_each = query
    check_query_and_key(query_of_each, key)
    check_leading_axes("query", query_of_each, "value", value)
    if dropout_p:
        raise ValueError(
            f"dropout_p is {dropout_p} and {name} drops no weights: it is made for "
            f"inference; {PLAIN} does"
        )
    check_one_mask(attn_mask, is_causal)
    if attn_mask is not None:
        before = (*key.shape[:-3], 1) if enable_gqa else key.shape[:-2]
        leading = torch.broadcast_shapes(query.shape[:-2], before)
        check_mask(attn_mask, query, (*leading, query.shape[-2], key.shape[-2]))


def check_float16(name: str, query: Tensor) -> None:
    """Refuse float16 where torch multiplies it one number at a time.

    Raises: ValueError that says what to convert it to.
    """
    if query.dtype == torch.float16 and query.device.type == "cpu":
        raise ValueError(
            f"query is torch.float16 on a CPU, whose products of it are hundreds of "
            f"times slower than others, so {name} does not take it: convert to "
            f"torch.bfloat16 or torch.float32, or use {PLAIN}"
        )


def check_block(name: str, size: int) -> None:
    """Refuse a block that holds nothing."""
    if size < 1:
        raise ValueError(f"{name} is {size}: a block holds at least 1 query or key")


def check_fused(
    query: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
) -> None:
    """Refuse what would take torch's slow path, all scores at once, without a word, and
    what its fused kernels get wrong.

    Raises: ValueError that says what, and what takes it instead.
    """
    if query.shape[-1] != value.shape[-1]:
        raise ValueError(
            f"value has value_dim {value.shape[-1]} and query head_dim "
            f"{query.shape[-1]}: torch's fused kernels need them equal; "
            f"fast.attention['tiled'], 'blocks' and {PLAIN} do not"
        )
    if query.ndim > 4 or value.ndim > 4:
        raise ValueError(
            f"query is {shape(query)} and value {shape(value)}: torch's fused kernels "
            "take (batch, heads, length, head_dim); flatten the first axes, "
            f"query.flatten(0, -4), or use {PLAIN}"
        )
    if attn_mask is not None and attn_mask.requires_grad:
        raise ValueError(
            "attn_mask requires a gradient, which torch's fused kernels do not give: "
            f"attn_mask.detach(), or use {PLAIN}"
        )
    if is_causal and scale is not None and scale <= 0:
        raise ValueError(
            f"scale is {scale} and is_causal=True: torch's fused kernels hide keys with "
            "-inf before they scale, and give NaN; pass a bool mask as attn_mask, or "
            f"use {PLAIN}"
        )
