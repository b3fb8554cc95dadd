"""Attention as a Triton kernel, line for line `companion.fast.tiled`.

A program is what one pass of the outer loop of `tiled` is: it takes one block of queries
of one head, and no other program is waited for. The names are those of `tiled`; what has
an index there has a pointer here, an address to which each element's distance is added.

Source: Dao 2023, "FlashAttention-2", algorithm 1.
"""

from typing import Any

import triton
import triton.language as tl

from companion.fast.kernels.language import LOG2E, dot, rounded


@triton.jit(
    do_not_specialize=["q_len", "kv_len", "past", "length_class", "heads_class"]
)
def attention_forward(
    query, key, value, mask, output,
    query_strides, key_strides, value_strides, mask_strides, output_strides,
    heads, group, q_len, kv_len, past, scale, length_class, heads_class,
    HEAD_DIM: tl.constexpr, VALUE_DIM: tl.constexpr,
    HEAD_BLOCK: tl.constexpr, VALUE_BLOCK: tl.constexpr,
    IS_CAUSAL: tl.constexpr, MASK: tl.constexpr,
    Q_BLOCK: tl.constexpr, KV_BLOCK: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head against all the keys that it sees."""
    blocks = tl.cdiv(q_len, Q_BLOCK)
    block = blocks - 1 - tl.program_id(0) % blocks  # a causal one's longest first
    head = (tl.program_id(0) // blocks % heads).to(tl.int64)
    batch = (tl.program_id(0) // blocks // heads).to(tl.int64)
    query += batch * query_strides[0] + head * query_strides[1]
    key += batch * key_strides[0] + head // group * key_strides[1]
    value += batch * value_strides[0] + head // group * value_strides[1]
    output += batch * output_strides[0] + head * output_strides[1]

    start = block * Q_BLOCK
    if MASK != "none":
        mask += batch * mask_strides[0] + head * mask_strides[1]
        mask += tl.cast(start, tl.int64) * mask_strides[2]
    rows = start + tl.arange(0, Q_BLOCK)
    query = load_rows(
        query, query_strides, start, q_len, Q_BLOCK, HEAD_DIM, HEAD_BLOCK, True
    )
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
        row_max, row_sum, acc, query, key, value, mask,
        key_strides, value_strides, mask_strides,
        rows, q_len, 0, unmasked, kv_len, past, scale,
        HEAD_DIM, VALUE_DIM, HEAD_BLOCK, VALUE_BLOCK, False, MASK, False, KV_BLOCK,
    )  # fmt: skip
    row_max, row_sum, acc = attend_to_blocks(
        row_max, row_sum, acc, query, key, value, mask,
        key_strides, value_strides, mask_strides,
        rows, q_len, unmasked, seen, kv_len, past, scale,
        HEAD_DIM, VALUE_DIM, HEAD_BLOCK, VALUE_BLOCK, IS_CAUSAL, MASK, True, KV_BLOCK,
    )  # fmt: skip
    acc = acc / tl.where(row_sum == 0, 1.0, row_sum)[:, None]
    columns = tl.arange(0, VALUE_BLOCK)
    tl.store(
        output + rows[:, None] * output_strides[2] + columns[None] * output_strides[3],
        rounded(acc, output.dtype.element_ty),
        mask=(rows < q_len)[:, None] & (columns < VALUE_DIM)[None],
    )


@triton.jit
def attend_to_blocks(
    row_max, row_sum, acc, query, key, value, mask,
    key_strides, value_strides, mask_strides,
    rows, q_len, first_key, seen, kv_len, past, scale,
    HEAD_DIM: tl.constexpr, VALUE_DIM: tl.constexpr,
    HEAD_BLOCK: tl.constexpr, VALUE_BLOCK: tl.constexpr,
    IS_CAUSAL: tl.constexpr, MASK: tl.constexpr, EDGE: tl.constexpr,
    KV_BLOCK: tl.constexpr,
):  # fmt: skip
    """The queries of a tile against the keys from `first_key` to `seen`."""
    for start in range(first_key, seen, KV_BLOCK):
        tile = load_rows(
            key, key_strides, start, kv_len, KV_BLOCK, HEAD_DIM, HEAD_BLOCK, EDGE
        )
        scores = dot(query, tile.T) * (scale * LOG2E)
        scores = masked(
            scores, mask, mask_strides, rows, q_len, start, kv_len, past,
            IS_CAUSAL, MASK, EDGE, KV_BLOCK,
        )  # fmt: skip
        new_max = tl.maximum(row_max, tl.max(scores, axis=1))
        # Where nothing was allowed so far the maximum is -inf, and -inf - -inf is no number.
        shift = tl.where(new_max == float("-inf"), 0.0, new_max)
        rescale = tl.exp2(row_max - shift)
        weights = tl.exp2(scores - shift[:, None])
        row_sum = row_sum * rescale + tl.sum(weights, axis=1)
        tile = load_rows(
            value, value_strides, start, kv_len, KV_BLOCK, VALUE_DIM, VALUE_BLOCK, EDGE
        )
        weighted = dot(rounded(weights, tile.dtype), tile)
        acc = acc * rescale[:, None] + weighted
        row_max = new_max
    return row_max, row_sum, acc


@triton.jit
def masked(
    scores, mask, mask_strides, rows, q_len, start, kv_len, past,
    IS_CAUSAL: tl.constexpr, MASK: tl.constexpr, EDGE: tl.constexpr,
    KV_BLOCK: tl.constexpr,
):  # fmt: skip
    """The scores of one tile with -inf where a query may not attend."""
    keys = start + tl.arange(0, KV_BLOCK)
    if MASK != "none":
        place = places(mask_strides, scores.shape[0], scores.shape[1])
        inside = (rows < q_len)[:, None] & (keys < kv_len)[None]
        mask += tl.cast(start, tl.int64) * mask_strides[3]
        tile = tl.load(mask + place, mask=inside, other=0)
        if MASK == "bool":
            scores = tl.where(tile, scores, float("-inf"))
        else:  # to base 2 as well; the lowest numbers, which would overflow, stay finite
            tile = tile.to(tl.float32)
            low = tl.maximum(tile, -1e38) * LOG2E
            scores += tl.where(tile == float("-inf"), tile, low)
    if EDGE:
        scores = tl.where((keys < kv_len)[None], scores, float("-inf"))
    if IS_CAUSAL:
        allowed = keys[None] <= rows[:, None] + past
        scores = tl.where(allowed, scores, float("-inf"))
    return scores


@triton.jit
def load_rows(
    pointer, strides, first, stop,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """`ROWS` rows of a matrix from row `first` on, in full width; zeros from `WIDTH` on,
    and from row `stop` on where that is in reach.
    """
    pointer += tl.cast(first, tl.int64) * strides[2]
    place = places(strides, ROWS, BLOCK)
    rows, columns = tl.arange(0, ROWS), tl.arange(0, BLOCK)
    if EDGE:
        inside = (first + rows < stop)[:, None] & (columns < WIDTH)[None]
        tile = tl.load(pointer + place, mask=inside, other=0.0)
    elif WIDTH < BLOCK:
        tile = tl.load(pointer + place, mask=(columns < WIDTH)[None], other=0.0)
    else:
        tile = tl.load(pointer + place)
    return tile


@triton.jit
def places(strides, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """How far each element of a tile is from its first: 32 bits are enough, where from
    the first of a long text they are not.
    """
    rows, columns = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    return rows[:, None] * strides[2] + columns[None] * strides[3]


CONFIGURATIONS = [
    triton.Config(
        {"Q_BLOCK": q_block, "KV_BLOCK": kv_block},
        num_warps=num_warps,
        num_stages=num_stages,
    )
    for q_block, kv_block, num_warps, num_stages in (
        (128, 128, 8, 2), (128, 128, 8, 3), (128, 64, 8, 2), (128, 64, 8, 3),
        (128, 64, 4, 3), (128, 32, 8, 2), (64, 64, 4, 3), (64, 32, 4, 3),
        (64, 16, 8, 2), (32, 16, 8, 2), (16, 32, 4, 2), (16, 16, 4, 2),
    )
]  # fmt: skip


def for_dtype(
    configurations: list[triton.Config], arguments: dict[str, Any], **sizes: Any
) -> list[triton.Config]:
    """Small tiles for float32, large ones for 16 bits: tensor cores multiply those, and
    keep what the other units would need registers for.
    """
    wide = arguments["query"].element_size() > 2
    tiles = {c: c.kwargs["Q_BLOCK"] * c.kwargs["KV_BLOCK"] for c in configurations}
    return [c for c, scores in tiles.items() if (scores <= 1024) == wide]


# All are timed once for each kind of call and each power of two of the length and of the
# heads in a batch; the fastest is kept.
tuned_attention_forward = triton.autotune(
    CONFIGURATIONS,
    key=[
        "HEAD_BLOCK", "VALUE_BLOCK", "IS_CAUSAL", "MASK", "length_class", "heads_class",
    ],
    prune_configs_by={"early_config_prune": for_dtype},
)(attention_forward)  # fmt: skip
