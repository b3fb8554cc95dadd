"""RoPE of queries and keys in one launch."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.fast.kernels.launch.arguments import power_of_two, strides
from companion.fast.kernels.refusals import check_rope


def apply_rope(
    query: Float[Tensor, "batch heads length head_dim"],
    key: Float[Tensor, "batch kv_heads length head_dim"],
    cos: Float[Tensor, "#batch length head_dim"],
    sin: Float[Tensor, "#batch length head_dim"],
) -> tuple[
    Float[Tensor, "batch heads length head_dim"],
    Float[Tensor, "batch kv_heads length head_dim"],
]:
    """`companion.apply_rope` of query and key, both in one launch.

    Computed in float32 and rounded once, where the plain form rounds three times.

    Raises: ValueError when the shapes do not fit together, for an odd head_dim, and for
    what the kernel does not take.
    """
    check_rope(query, key, cos, sin)
    from companion.fast.kernels.rope import rope_forward

    batch, heads, length, head_dim = query.shape
    kv_heads = key.shape[1]
    outputs = torch.empty_like(query), torch.empty_like(key)
    cos, sin = (x.expand(batch, length, head_dim) for x in (cos, sin))
    if cos.stride() != sin.stride():
        cos, sin = cos.contiguous(), sin.contiguous()
    if batch * length:
        rope_forward[(batch * length,)](
            query,
            key,
            cos,
            sin,
            *outputs,
            *strides(query, key, cos, *outputs),
            heads=heads,
            kv_heads=kv_heads,
            length=length,
            HALF=head_dim // 2,
            HALF_BLOCK=power_of_two(head_dim // 2),
            HEADS_BLOCK=power_of_two(heads),
            KV_HEADS_BLOCK=power_of_two(kv_heads),
        )
    return outputs
