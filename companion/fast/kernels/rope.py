"""RoPE as one Triton kernel: a program turns all heads of one token, queries and keys.

Source: Su et al. 2021, "RoFormer", section 3.2.2, equation (34), in the pairing of
`companion.apply_rope`.
"""

import triton
import triton.language as tl

from companion.fast.kernels.language import rounded


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
        query, query_out, query_strides, query_out_strides, batch, token, heads,
        cos, sin, pairs, HALF, HEADS_BLOCK,
    )  # fmt: skip
    rotate(
        key, key_out, key_strides, key_out_strides, batch, token, kv_heads,
        cos, sin, pairs, HALF, KV_HEADS_BLOCK,
    )  # fmt: skip


@triton.jit
def rotate(
    x, output, strides, output_strides, batch, token, heads, cos, sin, pairs,
    HALF: tl.constexpr, HEADS_BLOCK: tl.constexpr,
):  # fmt: skip
    """Each pair (first, second) of a head turned by its angle."""
    head = tl.arange(0, HEADS_BLOCK)[:, None]
    inside = (head < heads) & (pairs < HALF)[None]
    x += batch * strides[0] + token * strides[2]
    place = x + head * strides[1] + pairs[None] * strides[3]
    first = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(place + HALF * strides[3], mask=inside, other=0.0).to(tl.float32)
    output += batch * output_strides[0] + token * output_strides[2]
    place = output + head * output_strides[1] + pairs[None] * output_strides[3]
    dtype = output.dtype.element_ty
    tl.store(place, rounded(first * cos - second * sin, dtype), mask=inside)
    turned = rounded(second * cos + first * sin, dtype)
    tl.store(place + HALF * output_strides[3], turned, mask=inside)
