"""Attention tile by tile: a block of queries meets a block of keys, and forgets its scores.

Source: Milakov and Gimelshein 2018, "Online normalizer calculation for softmax",
algorithm 3; Dao 2023, "FlashAttention-2", algorithm 1.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.fast.grouped import group_heads, group_mask, rows_times, ungroup
from companion.fast.refusals import attention as refusals
from companion.masks import may_attend
from companion.refusals import guarded_by


@guarded_by(refusals.tiled)
def tiled(
    query: Float[Tensor, "*q_batch q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_len value_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    q_block: int = 128,
    kv_block: int = 256,
) -> Float[Tensor, "*batch q_len value_dim"]:
    """`scaled_dot_product_attention` in memory that grows with the length, not its square.

    No more than `q_block` · `kv_block` scores of a head exist at a time; every block size
    gives the same output but for rounding. Sums and exponentials are float32 at least.

    Raises: ValueError for dropout, for float16 on a CPU, for a block below 1, and when
    sizes, dtypes, devices or the mask do not fit together.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    query = group_heads(query, key, enable_gqa)
    mask = group_mask(attn_mask, query, key)
    outputs = [
        attend_to_blocks(
            query[..., start : start + q_block, :],
            key,
            value,
            None if mask is None else mask[..., start : start + q_block, :],
            start if is_causal else None,
            scale,
            kv_block,
        )
        for start in range(0, max(query.shape[-2], 1), q_block)
    ]
    return ungroup(torch.cat(outputs, dim=-2), enable_gqa)


def attend_to_blocks(
    query: Float[Tensor, "*q_batch group rows head_dim"],
    key: Float[Tensor, "*k_batch kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_len value_dim"],
    mask: Bool[Tensor, "*mask rows kv_len"] | Float[Tensor, "*mask rows kv_len"] | None,
    first_query: int | None,
    scale: float,
    kv_block: int,
) -> Float[Tensor, "*batch group rows value_dim"]:
    """One block of queries against all blocks of keys, with a running softmax.

    `first_query` is the place of the first query when attention is causal: only the
    keys that the last query sees are read.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    batch = torch.broadcast_shapes(query.shape[:-3], key.shape[:-2], value.shape[:-2])
    state = (*batch, *query.shape[-3:-1])
    row_max = query.new_full((*state, 1), -math.inf, dtype=wide)
    row_sum = query.new_zeros((*state, 1), dtype=wide)
    acc = query.new_zeros((*state, value.shape[-1]), dtype=wide)
    kv_len, rows = key.shape[-2], query.shape[-2]
    seen = kv_len if first_query is None else min(kv_len, first_query + rows)
    for start in range(0, seen, kv_block):
        keys = slice(start, min(start + kv_block, seen))
        scores = rows_times(query, key[..., keys, :].mT).to(wide) * scale
        scores = masked(scores, mask, first_query, keys)
        new_max = torch.maximum(row_max, scores.amax(dim=-1, keepdim=True))
        # Where nothing was allowed so far the maximum is -inf, and -inf - -inf is no number.
        shift = new_max.masked_fill(new_max == -math.inf, 0.0)
        rescale = torch.exp(row_max - shift)
        weights = torch.exp(scores - shift)
        row_sum = row_sum * rescale + weights.sum(dim=-1, keepdim=True)
        weighted = rows_times(weights.to(value.dtype), value[..., keys, :])
        acc = acc * rescale + weighted
        row_max = new_max
    return (acc / row_sum.masked_fill(row_sum == 0, 1.0)).to(query.dtype)


def masked(
    scores: Float[Tensor, "*batch rows keys"],
    mask: Bool[Tensor, "*mask rows kv_len"] | Float[Tensor, "*mask rows kv_len"] | None,
    first_query: int | None,
    keys: slice,
) -> Float[Tensor, "*batch rows keys"]:
    """The scores of one tile with -inf where a query may not attend."""
    if mask is not None:
        tile = mask[..., keys]
        if tile.dtype == torch.bool:
            return scores.masked_fill(~tile, -math.inf)
        return scores + tile
    if first_query is None or keys.stop <= first_query + 1:
        return scores  # the first query sees all of these keys, and so do the others
    key_pos = torch.arange(keys.start, keys.stop, device=scores.device)
    query_pos = torch.arange(scores.shape[-2], device=scores.device) + first_query
    return scores.masked_fill(~may_attend(query_pos, key_pos), -math.inf)
