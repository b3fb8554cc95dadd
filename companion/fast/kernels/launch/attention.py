"""Attention: which of its kernels, how many programs, and where each finds its part."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.fast.kernels.launch.arguments import (
    kind_of,
    number_of_splits,
    padded,
    power_of_two,
    strides,
)
from companion.fast.kernels.refusals import check_attention, check_kernel, interpreted
from companion.fast.refusals.attention import check_block, check_fast


def attention(
    query: Float[Tensor, "*q_batch q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_len value_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    past: int = 0,
    q_block: int | None = None,
    kv_block: int | None = None,
) -> Float[Tensor, "*batch q_len value_dim"]:
    """`companion.fast.tiled` as one GPU kernel, and as two for a single query.

    With `is_causal`, query i sees keys 0..`past` + i: `past` counts the tokens that a
    cache held before. Keys and values are not repeated for the heads that share them,
    and no stride needs a copy. Block sizes are those found fastest, by a trial at the
    first call of each kind, unless given.

    Raises: ValueError for what the kernel does not take (float64, head_dim above 256,
    five axes, gradients, dropout, a CPU without Triton's interpreter), and when sizes,
    dtypes, devices or the mask do not fit together.
    """
    instead = "fast.attention['tiled']"
    check_fast("triton", query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    check_kernel("triton", instead, query=query, key=key, value=value)
    check_attention(query, value, is_causal, past)
    for name, size in (("q_block", q_block), ("kv_block", kv_block)):
        if size is not None:
            check_block(name, size)
    axes = max(query.ndim, key.ndim, value.ndim)
    query, key, value, mask = four_axes(query, key, value, attn_mask, enable_gqa)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if scale <= 0:  # the kernels take the largest product for the largest score
        query, scale = query * math.copysign(scale != 0, scale), abs(scale) or 1.0
    output = query.new_empty(*query.shape[:-1], value.shape[-1])
    if not output.numel():
        pass
    elif query.shape[2] == 1:
        seen = min(key.shape[2], past + 1) if is_causal else key.shape[2]
        key, value = key[:, :, :seen], value[:, :, :seen]
        launch_decode(query, key, value, mask, output, scale, kv_block)
    else:
        tensors = query, key, value, mask, output
        launch_forward(*tensors, scale, is_causal, past, q_block, kv_block)
    return output.flatten(0, 4 - axes) if axes < 4 else output


def four_axes(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, enable_gqa: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """All four as (batch, heads, length, width), by views: an axis that is shared has a
    stride of 0, and so has the heads' axis of a mask for all heads.
    """
    query, key, value = (x[(None,) * (4 - x.ndim)] for x in (query, key, value))
    shared = 1 if enable_gqa else 2  # the axes that must be equal: batch, and heads
    before = torch.broadcast_shapes(*(x.shape[:shared] for x in (query, key, value)))
    query, key, value = (
        x.expand(*before, *x.shape[shared:]) for x in (query, key, value)
    )
    if mask is not None:
        mask = mask.expand(*query.shape[:3], key.shape[2])
    return query, key, value, mask


def launch_forward(
    query: Float[Tensor, "batch heads q_len head_dim"],
    key: Float[Tensor, "batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "batch kv_heads kv_len value_dim"],
    mask: Tensor | None,
    output: Float[Tensor, "batch heads q_len value_dim"],
    scale: float,
    is_causal: bool = False,
    past: int = 0,
    q_block: int | None = None,
    kv_block: int | None = None,
) -> None:
    """A program for each block of queries of each head. `scale` is above 0."""
    from companion.fast.kernels import forward

    batch, heads, q_len, head_dim = query.shape
    kv_heads, kv_len, value_dim = value.shape[1:]
    kernel, sizes = forward.tuned_attention_forward, {}
    if interpreted() or q_block or kv_block:
        kernel = forward.attention_forward
        sizes = {"Q_BLOCK": q_block or 64, "KV_BLOCK": kv_block or 64}

    def grid(meta: dict[str, int]) -> tuple[int]:
        return (-(-q_len // meta["Q_BLOCK"]) * batch * heads,)

    tensors = query, key, value, mask, output
    kernel[grid](
        *tensors,
        *strides(*tensors),
        batch_size=batch,
        heads=heads,
        group=heads // kv_heads,
        q_len=q_len,
        kv_len=kv_len,
        past=past,
        scale=scale,
        length_class=power_of_two(max(q_len, kv_len)),
        heads_class=power_of_two(batch * heads),
        HEAD_DIM=head_dim,
        VALUE_DIM=value_dim,
        HEAD_BLOCK=padded(head_dim),
        VALUE_BLOCK=padded(value_dim),
        IS_CAUSAL=is_causal,
        MASK=kind_of(mask),
        **sizes,
    )


def launch_decode(
    query: Float[Tensor, "batch heads 1 head_dim"],
    key: Float[Tensor, "batch kv_heads kv_len head_dim"],
    value: Float[Tensor, "batch kv_heads kv_len value_dim"],
    mask: Tensor | None,
    output: Float[Tensor, "batch heads 1 value_dim"],
    scale: float,
    kv_block: int | None = None,
    splits: int | None = None,
) -> None:
    """A program for each group of heads and each split of the keys, then one for each
    head to merge them. `scale` is above 0.
    """
    from companion.fast.kernels import decode

    batch, heads, _, head_dim = query.shape
    kv_heads, kv_len, value_dim = value.shape[1:]
    group = heads // kv_heads
    splits = splits or number_of_splits(batch * kv_heads, kv_len, query.device)
    if mask is not None and group * mask.stride(1) >= 2**31:
        mask = mask.contiguous()  # its heads are too far apart for a tile's 32 bits
    row_max, row_sum = query.new_empty(
        2, batch * heads, splits, dtype=torch.float32
    ).unbind()
    acc = query.new_empty(batch * heads, splits, value_dim, dtype=torch.float32)
    kernel, sizes = decode.tuned_attend_to_split, {}
    if interpreted() or kv_block:
        kernel, sizes = decode.attend_to_split, {"KV_BLOCK": kv_block or 64}

    kernel[batch * kv_heads, splits](
        query,
        key,
        value,
        mask,
        row_max,
        row_sum,
        acc,
        *strides(query, key, value, mask),
        kv_heads=kv_heads,
        group=group,
        kv_len=kv_len,
        split_len=-(-kv_len // splits),
        scale=scale,
        length_class=power_of_two(kv_len),
        heads_class=power_of_two(batch * heads),
        HEAD_DIM=head_dim,
        VALUE_DIM=value_dim,
        HEAD_BLOCK=padded(head_dim),
        VALUE_BLOCK=padded(value_dim),
        MASK=kind_of(mask),
        GROUP_BLOCK=padded(group),
        **sizes,
    )
    decode.merge_splits[(batch * heads,)](
        row_max,
        row_sum,
        acc,
        output,
        *strides(output),
        heads=heads,
        splits=splits,
        VALUE_DIM=value_dim,
        VALUE_BLOCK=padded(value_dim),
        SPLIT_BLOCK=power_of_two(splits),
    )
