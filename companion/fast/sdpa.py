"""torch's own attention, kept on its fused kernels."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from companion.fast.refusals import attention as refusals
from companion.refusals import guarded_by


@guarded_by(refusals.sdpa)
def sdpa(
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
    """`torch.nn.functional.scaled_dot_product_attention`, never on its slow path.

    The fused kernels want (batch, heads, length, head_dim), one batch for all, each head's
    features side by side in memory, and value_dim = head_dim. Fewer axes and axes
    of 1 are brought to that by views, other strides by a copy; the rest is refused.

    Raises: ValueError for what only the slow path takes, for dropout, for float16 on a
    CPU, and when sizes, dtypes, devices or the mask do not fit together.
    """
    axes = max(query.ndim, key.ndim, value.ndim)
    query, key, value = (four_axes(x) for x in (query, key, value))
    shared = 1 if enable_gqa else 2  # the axes that must be equal: batch, and heads
    before = torch.broadcast_shapes(*(x.shape[:shared] for x in (query, key, value)))
    query, key, value = (
        x.expand(*before, *x.shape[shared:]) for x in (query, key, value)
    )
    attend = F.scaled_dot_product_attention if query.device.type == "cpu" else on_a_gpu
    output = attend(
        query,
        key,
        value,
        attn_mask=None if attn_mask is None else four_axes(as_wide(attn_mask, query)),
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )
    return output.flatten(0, 4 - axes) if axes < 4 else output


def as_wide(attn_mask: Tensor, query: Tensor) -> Tensor:
    """The mask, in float64 beside such a query: torch 2.13 misreads one of float32 on a
    CPU from 16 keys on.
    """
    wide = attn_mask.is_floating_point() and query.dtype == torch.float64
    return attn_mask.double() if wide else attn_mask


def four_axes(x: Tensor) -> Tensor:
    """(batch, heads, length, width), missing axes 1, the last side by side in memory."""
    x = x[(None,) * (4 - x.ndim)]
    return x if x.stride(-1) == 1 else x.contiguous()


# ---- what torch does otherwise on a GPU, as of 2.11


def on_a_gpu(
    query: Float[Tensor, "batch heads q_len head_dim"],
    key: Float[Tensor, "batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "batch kv_heads kv_len head_dim"],
    attn_mask: Tensor | None,
    **options: Any,
) -> Float[Tensor, "batch heads q_len head_dim"]:
    """Attention by torch, with the answers that it gives on a CPU.

    On a GPU it gives None for an empty batch, reads a mask as if it were of the query's
    dtype and its last axis in full, and leaves in a row that may attend to nothing what
    its kernel had there.
    """
    if not (query.numel() and key.numel()):
        return torch.zeros_like(query)
    if attn_mask is None:
        return F.scaled_dot_product_attention(query, key, value, **options)
    attn_mask = four_axes(attn_mask.expand(*attn_mask.shape[:-1], key.shape[-2]))
    if attn_mask.dtype == torch.bool:
        allowed = attn_mask
    else:
        allowed = attn_mask != -math.inf
        attn_mask = in_reach(attn_mask, query.dtype)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask, **options)
    return output.masked_fill(~allowed.any(dim=-1, keepdim=True), 0)


def in_reach(attn_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A float mask in the query's dtype, in which -inf and the lowest numbers stay apart:
    torch's kernels multiply it by log2(e), which makes -inf of the lowest.
    """
    lowest = max(torch.finfo(dtype).min, -1e38)
    low = attn_mask.clamp(min=lowest)
    return torch.where(attn_mask == -math.inf, attn_mask, low).to(dtype)
