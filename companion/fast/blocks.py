"""Attention by blocks of queries, each with all the keys that it sees, in few passes."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.attention import later
from companion.fast.grouped import group_heads, group_mask, rows_times, ungroup
from companion.fast.refusals import attention as refusals
from companion.refusals import guarded_by


@guarded_by(refusals.blocks)
def blocks(
    query: Float[Tensor, "*q_batch q_len head_dim"],
    key: Float[Tensor, "*k_batch kv_len head_dim"],
    value: Float[Tensor, "*v_batch kv_len value_dim"],
    attn_mask: Bool[Tensor, "*mask"] | Float[Tensor, "*mask"] | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    q_block: int = 64,
) -> Float[Tensor, "*batch q_len value_dim"]:
    """`scaled_dot_product_attention` for `q_block` queries at a time.

    Rows are complete, so that the softmax is an ordinary one; keys that no query of a
    block sees, by `is_causal` or by a bool mask, are not read. Memory for the scores
    is heads · `q_block` · kv_len.

    Raises: ValueError for dropout, for float16 on a CPU, for a block below 1, and when
    sizes, dtypes, devices or the mask do not fit together.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    query = group_heads(query, key, enable_gqa)
    mask = group_mask(attn_mask, query, key)
    outputs = []
    # from the last block to the first: each fits into what the one before it freed
    for start in reversed(range(0, max(query.shape[-2], 1), q_block)):
        rows = query[..., start : start + q_block, :]
        block_mask = None if mask is None else mask[..., start : start + q_block, :]
        stop = start + rows.shape[-2] if is_causal else key.shape[-2]
        keys = slice(0, stop) if block_mask is None else keys_seen(block_mask)
        scores = rows_times(rows, key[..., keys, :].mT)
        scores *= scale
        if is_causal:  # only the square on the diagonal holds keys of the future
            diagonal = scores[..., start:]
            diagonal.masked_fill_(later(diagonal), -math.inf)
        weights = masked_softmax(
            scores, None if block_mask is None else block_mask[..., keys]
        )
        outputs.append(rows_times(weights.to(value.dtype), value[..., keys, :]))
    return ungroup(torch.cat(outputs[::-1], dim=-2), enable_gqa)


def keys_seen(
    mask: Bool[Tensor, "*mask rows kv_len"] | Float[Tensor, "*mask rows kv_len"],
) -> slice:
    """From the first to the last key that some query of the block may attend to."""
    if mask.dtype != torch.bool or torch.compiler.is_compiling() or mask.is_meta:
        return slice(0, mask.shape[-1])
    seen = mask.flatten(0, -2).any(dim=0).nonzero()
    if not len(seen):
        return slice(0, 0)
    return slice(int(seen[0]), int(seen[-1]) + 1)


def masked_softmax(
    scores: Float[Tensor, "*batch rows keys"],
    mask: Bool[Tensor, "*mask rows keys"] | Float[Tensor, "*mask rows keys"] | None,
) -> Float[Tensor, "*batch rows keys"]:
    """Softmax over the keys that are left; zeros in a row without any.

    torch computes it in float32 inside, and rounds bfloat16 once, at the end.
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)
    if mask.dtype == torch.bool:
        nothing = ~mask.any(dim=-1, keepdim=True)
        scores = scores.masked_fill(~(mask | nothing), -math.inf)
    else:
        nothing = mask.isneginf().all(dim=-1, keepdim=True)
        wide = torch.promote_types(scores.dtype, torch.float32)
        scores = scores.to(wide) + mask.masked_fill(nothing, 0.0)
    return torch.softmax(scores, dim=-1).masked_fill(nothing, 0.0)
