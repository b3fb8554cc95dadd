"""Attention of one query as Triton kernels: the keys are split among programs.

One query is no work for a GPU, its keys are memory to read. The query heads of a group
are the rows of a tile, so that their keys are read once; a second kernel merges what the
splits have found, which any two parts of a row allow.

Source: Dao, Haziza, Massa and Sizov 2023, "Flash-Decoding for long-context inference".
"""

import triton
import triton.language as tl

from companion.fast.kernels.forward import attend_to_blocks
from companion.fast.kernels.language import LOG2E, rounded
from companion.fast.kernels.matrices import Matrix, load_rows, matrix_of, places


@triton.jit(do_not_specialize=["kv_len", "split_len", "length_class", "heads_class"])
def attend_to_split(
    query, key, value, mask, row_max_of, row_sum_of, acc_of,
    query_strides, key_strides, value_strides, mask_strides,
    kv_heads, group, kv_len, split_len, scale,
    length_class, heads_class,  # for the trial below, as in `attention_forward`
    HEAD_DIM: tl.constexpr, VALUE_DIM: tl.constexpr,
    HEAD_BLOCK: tl.constexpr, VALUE_BLOCK: tl.constexpr,
    MASK: tl.constexpr,
    GROUP_BLOCK: tl.constexpr, KV_BLOCK: tl.constexpr,
):  # fmt: skip
    """The query heads of one group against `split_len` keys: a row's three numbers."""
    split, splits = tl.program_id(1), tl.num_programs(1)
    kv_head = (tl.program_id(0) % kv_heads).to(tl.int64)
    batch = (tl.program_id(0) // kv_heads).to(tl.int64)
    first_head = kv_head * group
    first_key = tl.minimum(split * split_len, kv_len)
    seen = tl.minimum(first_key + split_len, kv_len)

    # Heads take the place of queries, and so their strides.
    query += batch * query_strides[0] + first_head * query_strides[1]
    query = Matrix(query, (query_strides[1], query_strides[3]), group, HEAD_DIM)
    query = load_rows(query, 0, ROWS=GROUP_BLOCK, COLUMNS=HEAD_BLOCK, EDGE=True)
    scale *= LOG2E  # scores are to base 2
    unit = 1.0 if MASK == "float" else scale
    if MASK != "none":
        mask += batch * mask_strides[0] + first_head * mask_strides[1]
        mask = Matrix(mask, (mask_strides[1], mask_strides[3]), group, kv_len)
    if MASK == "bool":
        first_key, seen = keys_seen(
            mask, first_key, seen, GROUP_BLOCK=GROUP_BLOCK, KV_BLOCK=KV_BLOCK
        )
    key = matrix_of(key, key_strides, batch, kv_head, seen, HEAD_DIM)
    value = matrix_of(value, value_strides, batch, kv_head, seen, VALUE_DIM)
    row_max, row_sum, acc = attend_to_blocks(
        tl.full([GROUP_BLOCK], float("-inf"), tl.float32),
        tl.zeros([GROUP_BLOCK], tl.float32),
        tl.zeros([GROUP_BLOCK, VALUE_BLOCK], tl.float32),
        query, key, value, mask, first_row=0, past=0, scale=scale, unit=unit,
        first_key=first_key, seen=seen, KV_BLOCK=KV_BLOCK,
        IS_CAUSAL=False, MASK=MASK, EDGE=True,
    )  # fmt: skip

    rows, columns = tl.arange(0, GROUP_BLOCK), tl.arange(0, VALUE_BLOCK)
    place = (first_head + batch * kv_heads * group + rows) * splits + split
    tl.store(row_max_of + place, row_max, mask=rows < group)
    tl.store(row_sum_of + place, row_sum, mask=rows < group)
    tl.store(
        acc_of + place[:, None] * VALUE_DIM + columns[None],
        acc,
        mask=(rows < group)[:, None] & (columns < VALUE_DIM)[None],
    )


@triton.jit
def keys_seen(mask, first_key, stop, GROUP_BLOCK: tl.constexpr, KV_BLOCK: tl.constexpr):
    """From the first to the last key of a split that the mask allows: the empty places
    of a static cache are not read.
    """
    heads = tl.arange(0, GROUP_BLOCK)
    first, last = stop, first_key
    for start in range(first_key, stop, KV_BLOCK):
        keys = start + tl.arange(0, KV_BLOCK)
        place = tl.cast(start, tl.int64) * mask.strides[1]
        place += places(mask.strides, GROUP_BLOCK, KV_BLOCK)
        inside = (heads < mask.rows)[:, None] & (keys < stop)[None]
        allowed = tl.load(mask.first + place, mask=inside, other=0) != 0
        first = tl.minimum(first, tl.min(tl.where(allowed, keys[None], stop)))
        last = tl.maximum(last, tl.max(tl.where(allowed, keys[None] + 1, first_key)))
    return first, last


@triton.jit
def merge_splits(
    row_max_of, row_sum_of, acc_of, output, output_strides, heads, splits,
    VALUE_DIM: tl.constexpr, VALUE_BLOCK: tl.constexpr, SPLIT_BLOCK: tl.constexpr,
):  # fmt: skip
    """One head: the sums of all splits, brought to the largest maximum."""
    head = tl.program_id(0).to(tl.int64)
    parts, columns = tl.arange(0, SPLIT_BLOCK), tl.arange(0, VALUE_BLOCK)
    place = head * splits + parts
    inside = parts < splits
    row_max = tl.load(row_max_of + place, mask=inside, other=float("-inf"))
    row_sum = tl.load(row_sum_of + place, mask=inside, other=0.0)
    acc = tl.load(
        acc_of + place[:, None] * VALUE_DIM + columns[None],
        mask=inside[:, None] & (columns < VALUE_DIM)[None],
        other=0.0,
    )
    new_max = tl.max(row_max, axis=0)
    shift = tl.where(new_max == float("-inf"), 0.0, new_max)
    rescale = tl.exp2(row_max - shift)
    row_sum = tl.sum(row_sum * rescale, axis=0)
    acc = tl.sum(acc * rescale[:, None], axis=0)
    acc = acc / tl.where(row_sum == 0, 1.0, row_sum)
    output += head // heads * output_strides[0] + head % heads * output_strides[1]
    tl.store(
        output + columns * output_strides[3],
        rounded(acc, output.dtype.element_ty),
        mask=columns < VALUE_DIM,
    )


tuned_attend_to_split = triton.autotune(
    [
        triton.Config({"KV_BLOCK": kv_block}, num_warps=num_warps, num_stages=stages)
        for kv_block, num_warps, stages in (
            (128, 4, 3), (64, 4, 3), (64, 4, 4),
            (32, 4, 2),  # fits the widest heads, in float32 too
        )
    ],
    key=[
        "HEAD_BLOCK", "VALUE_BLOCK", "GROUP_BLOCK", "MASK", "length_class",
        "heads_class",
    ],
)(attend_to_split)  # fmt: skip
