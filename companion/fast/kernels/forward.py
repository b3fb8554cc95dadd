"""Attention as a Triton kernel, line for line `companion.fast.tiled`.

A program is what one pass of the outer loop of `tiled` is: it takes one block of queries
of one head, and no other program is waited for. The names are those of `tiled`; what has
an index there is a `Matrix` here, whose rows are loaded from memory.

Source: Dao 2023, "FlashAttention-2", algorithm 1.
"""

from typing import Any

import triton
import triton.language as tl

from companion.fast.kernels.language import LOG2E, dot, rounded
from companion.fast.kernels.matrices import (
    from_row,
    load_rows,
    matrix_of,
    places,
    store_rows,
)


@triton.jit(
    do_not_specialize=[
        "batch_size", "q_len", "kv_len", "past", "length_class", "heads_class",
    ]
)  # fmt: skip
def attention_forward(
    query, key, value, mask, output,
    query_strides, key_strides, value_strides, mask_strides, output_strides,
    batch_size, heads, group, q_len, kv_len, past, scale,
    # Not read here. The trial below chooses tile sizes for each pair of these classes,
    # powers of two of the lengths and of all heads; the compiled kernel is the same.
    length_class, heads_class,
    HEAD_DIM: tl.constexpr, VALUE_DIM: tl.constexpr,  # how wide a row is
    HEAD_BLOCK: tl.constexpr, VALUE_BLOCK: tl.constexpr,  # and the tile that holds it
    IS_CAUSAL: tl.constexpr,
    MASK: tl.constexpr,  # "none", "bool" or "float"
    Q_BLOCK: tl.constexpr, KV_BLOCK: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head against all the keys that it sees."""
    program, blocks = tl.program_id(0), tl.cdiv(q_len, Q_BLOCK)
    head = (program % heads).to(tl.int64)
    batch = (program // heads % batch_size).to(tl.int64)
    # The last queries of a causal text see the most: these blocks start first, of all
    # heads, and short ones fill the gaps at the end.
    block = blocks - 1 - program // (heads * batch_size)
    query = matrix_of(query, query_strides, batch, head, q_len, HEAD_DIM)
    key = matrix_of(key, key_strides, batch, head // group, kv_len, HEAD_DIM)
    value = matrix_of(value, value_strides, batch, head // group, kv_len, VALUE_DIM)
    output = matrix_of(output, output_strides, batch, head, q_len, VALUE_DIM)
    if MASK != "none":
        mask = matrix_of(mask, mask_strides, batch, head, q_len, kv_len)

    start = block * Q_BLOCK
    query = load_rows(query, start, ROWS=Q_BLOCK, COLUMNS=HEAD_BLOCK, EDGE=True)
    scale *= LOG2E  # scores are to base 2
    unit = 1.0 if MASK == "float" else scale
    row_max = tl.full([Q_BLOCK], float("-inf"), tl.float32)
    row_sum = tl.zeros([Q_BLOCK], tl.float32)
    acc = tl.zeros([Q_BLOCK, VALUE_BLOCK], tl.float32)

    first_query = start + past
    seen, unmasked = kv_len, kv_len // KV_BLOCK * KV_BLOCK
    if IS_CAUSAL:
        seen = tl.minimum(kv_len, first_query + Q_BLOCK)
        unmasked = tl.minimum(unmasked, (first_query + 1) // KV_BLOCK * KV_BLOCK)
    # The tiles that every query sees whole, then those at the edges.
    row_max, row_sum, acc = attend_to_blocks(
        row_max, row_sum, acc, query, key, value, mask, start, past, scale, unit,
        first_key=0, seen=unmasked, KV_BLOCK=KV_BLOCK,
        IS_CAUSAL=False, MASK=MASK, EDGE=False,
    )  # fmt: skip
    row_max, row_sum, acc = attend_to_blocks(
        row_max, row_sum, acc, query, key, value, mask, start, past, scale, unit,
        first_key=unmasked, seen=seen, KV_BLOCK=KV_BLOCK,
        IS_CAUSAL=IS_CAUSAL, MASK=MASK, EDGE=True,
    )  # fmt: skip
    acc = acc / tl.where(row_sum == 0, 1.0, row_sum)[:, None]
    store_rows(output, start, acc)


@triton.jit
def attend_to_blocks(
    row_max, row_sum, acc, query, key, value, mask, first_row, past, scale, unit,
    first_key, seen, KV_BLOCK: tl.constexpr,
    IS_CAUSAL: tl.constexpr, MASK: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """A tile of queries against the keys from `first_key` to `seen`; with `EDGE` some of
    these may lie beyond the end.

    The products are scaled in the multiply-add of the exponential, by `unit` = `scale`
    (above 0, so that the largest product is the largest score). With a float mask they
    are scaled before it is added, and `unit` is 1.
    """
    for start in range(first_key, seen, KV_BLOCK):
        tile = load_rows(key, start, ROWS=KV_BLOCK, COLUMNS=query.shape[1], EDGE=EDGE)
        scores = dot(query, tile.T)
        scores = masked(
            scores, mask, first_row, start, key.rows, past, scale,
            IS_CAUSAL=IS_CAUSAL, MASK=MASK, EDGE=EDGE,
        )  # fmt: skip
        new_max = tl.maximum(row_max, tl.max(scores, axis=1) * unit)
        # Where nothing was allowed so far the maximum is -inf, and -inf - -inf is no number.
        shift = tl.where(new_max == float("-inf"), 0.0, new_max)
        rescale = tl.exp2(row_max - shift)
        weights = tl.exp2(tl.fma(scores, unit, -shift[:, None]))
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        tile = load_rows(value, start, ROWS=KV_BLOCK, COLUMNS=acc.shape[1], EDGE=EDGE)
        weighted = dot(rounded(weights, tile.dtype), tile)
        acc = acc * rescale[:, None] + weighted
        row_max = new_max
    return row_max, row_sum, acc


@triton.jit
def masked(
    scores, mask, first_row, start, kv_len, past, scale,
    IS_CAUSAL: tl.constexpr, MASK: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """The scores of one tile with -inf where a query may not attend."""
    rows = first_row + tl.arange(0, scores.shape[0])
    keys = start + tl.arange(0, scores.shape[1])
    if MASK != "none":
        place = from_row(mask, first_row) + tl.cast(start, tl.int64) * mask.strides[1]
        place += places(mask.strides, scores.shape[0], scores.shape[1])
        inside = (rows < mask.rows)[:, None] & (keys < kv_len)[None]
        tile = tl.load(place, mask=inside, other=0)
        if MASK == "bool":
            scores = tl.where(tile, scores, float("-inf"))
        else:  # to base 2 as well; the lowest numbers, which would overflow, stay finite
            tile = tile.to(tl.float32)
            low = tl.maximum(tile, -1e38) * LOG2E
            scores = scores * scale + tl.where(tile == float("-inf"), tile, low)
    if EDGE:
        scores = tl.where((keys < kv_len)[None], scores, float("-inf"))
    if IS_CAUSAL:
        allowed = keys[None] <= rows[:, None] + past
        scores = tl.where(allowed, scores, float("-inf"))
    return scores


# Rows and keys of a tile, warps, and how many tiles of keys are under way at once.
CONFIGURATIONS = [
    triton.Config(
        {"Q_BLOCK": q_block, "KV_BLOCK": kv_block},
        num_warps=num_warps,
        num_stages=num_stages,
    )
    for q_block, kv_block, num_warps, num_stages in (
        (128, 128, 8, 3), (128, 64, 8, 3), (64, 64, 4, 3), (64, 32, 4, 3),
        (64, 32, 4, 2),  # fits a small GPU with the widest heads
        (32, 16, 8, 2), (16, 32, 4, 2), (16, 16, 4, 2),  # float32
    )
]  # fmt: skip


def for_dtype(
    configurations: list[triton.Config], tensors: dict[str, Any], **sizes: Any
) -> list[triton.Config]:
    """Small tiles for float32, large ones for 16 bits: tensor cores multiply those, and
    keep what the other units would need registers for.
    """
    wide = tensors["query"].element_size() > 2
    tiles = {c: c.kwargs["Q_BLOCK"] * c.kwargs["KV_BLOCK"] for c in configurations}
    return [c for c, scores in tiles.items() if (scores <= 1024) == wide]


# All of them are timed once for each kind of call and each power of two of the length and
# of the heads in a batch; the fastest is kept.
tuned_attention_forward = triton.autotune(
    CONFIGURATIONS,
    key=[
        "HEAD_BLOCK", "VALUE_BLOCK", "IS_CAUSAL", "MASK", "length_class", "heads_class",
    ],
    prune_configs_by={"early_config_prune": for_dtype},
)(attention_forward)  # fmt: skip
