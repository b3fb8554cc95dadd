"""RoPE as one Triton kernel: a program turns all heads of one token, queries and keys.

Source: Su et al. 2021, "RoFormer", section 3.2.2, equation (34), in the pairing of
`companion.apply_rope`.
"""

import triton
import triton.language as tl

from companion.fast.kernels.language import rounded
from companion.fast.kernels.matrices import Matrix


@triton.jit
def rope_forward(
    query, key, cos, sin, query_out, key_out,
    query_strides, key_strides, angle_strides, query_out_strides, key_out_strides,
    heads, kv_heads, length,
    HALF: tl.constexpr, HALF_BLOCK: tl.constexpr,
    HEADS_BLOCK: tl.constexpr, KV_HEADS_BLOCK: tl.constexpr,
):  # fmt: skip
    """`companion.apply_rope` of the query and the key of one token."""
    token = (tl.program_id(0) % length).to(tl.int64)
    batch = (tl.program_id(0) // length).to(tl.int64)
    pairs = tl.arange(0, HALF_BLOCK)
    angles = batch * angle_strides[0] + token * angle_strides[1]
    place = angles + pairs * angle_strides[2]
    # both halves of a head have the same angles
    cos = tl.load(cos + place, mask=pairs < HALF, other=0.0).to(tl.float32)[None]
    sin = tl.load(sin + place, mask=pairs < HALF, other=0.0).to(tl.float32)[None]
    rotate(
        heads_of(query, query_strides, batch, token, heads, 2 * HALF),
        heads_of(query_out, query_out_strides, batch, token, heads, 2 * HALF),
        cos, sin, HEADS_BLOCK=HEADS_BLOCK, HALF_BLOCK=HALF_BLOCK,
    )  # fmt: skip
    rotate(
        heads_of(key, key_strides, batch, token, kv_heads, 2 * HALF),
        heads_of(key_out, key_out_strides, batch, token, kv_heads, 2 * HALF),
        cos, sin, HEADS_BLOCK=KV_HEADS_BLOCK, HALF_BLOCK=HALF_BLOCK,
    )  # fmt: skip


@triton.jit
def heads_of(x, strides, batch, token, heads, head_dim):
    """One token of a tensor with four axes: a row for each head."""
    first = x + batch * strides[0] + token * strides[2]
    return Matrix(first, (strides[1], strides[3]), heads, head_dim)


@triton.jit
def rotate(x, output, cos, sin, HEADS_BLOCK: tl.constexpr, HALF_BLOCK: tl.constexpr):
    """Each pair (first, second) of a head turned by its angle."""
    half = x.columns // 2
    # heads of a long text are as far apart as it is long
    head = tl.arange(0, HEADS_BLOCK).to(tl.int64)[:, None]
    pair = tl.arange(0, HALF_BLOCK)[None]
    inside = (head < x.rows) & (pair < half)
    place = x.first + head * x.strides[0] + pair * x.strides[1]
    first = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(place + half * x.strides[1], mask=inside, other=0.0).to(tl.float32)
    place = output.first + head * output.strides[0] + pair * output.strides[1]
    dtype = output.first.dtype.element_ty
    tl.store(place, rounded(first * cos - second * sin, dtype), mask=inside)
    turned = rounded(second * cos + first * sin, dtype)
    tl.store(place + half * output.strides[1], turned, mask=inside)
