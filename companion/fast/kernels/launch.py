"""The kernels around attention: RMSNorm, RoPE and SwiGLU, one launch each."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.fast.kernels.arguments import power_of_two
from companion.fast.kernels.refusals import check_kernel, check_row
from companion.refusals.attention import shape


def rms_norm(
    x: Float[Tensor, "*batch hidden"], weight: Float[Tensor, " hidden"], eps: float
) -> Float[Tensor, "*batch hidden"]:
    """`companion.rms_norm` in one launch: each token is read once and written once.

    Raises: ValueError when `x` and `weight` differ in their last axis, and for what the
    kernel does not take.
    """
    output, _ = launch_norm(x, None, weight, eps)
    return output


def add_rms_norm(
    x: Float[Tensor, "*batch hidden"],
    residual: Float[Tensor, "*batch hidden"],
    weight: Float[Tensor, " hidden"],
    eps: float,
) -> tuple[Float[Tensor, "*batch hidden"], Float[Tensor, "*batch hidden"]]:
    """`rms_norm(x + residual)` and the sum itself, which is the next residual.

    Raises: ValueError when `x`, `residual` and `weight` do not fit together, and for
    what the kernel does not take.
    """
    if x.shape != residual.shape:
        raise ValueError(
            f"x is {shape(x)} and residual {shape(residual)}: they must be equal, the "
            "residual is what a block's output is added to"
        )
    return launch_norm(x, residual, weight, eps)


def launch_norm(
    x: Float[Tensor, "*batch hidden"],
    residual: Float[Tensor, "*batch hidden"] | None,
    weight: Float[Tensor, " hidden"],
    eps: float,
) -> tuple[Float[Tensor, "*batch hidden"], Float[Tensor, "*batch hidden"]]:
    """(normed, sum): a program for each token; without a residual, the sum is `x`."""
    name, instead = "rms_norm", "companion.rms_norm"
    added = {} if residual is None else {"residual": residual}
    check_kernel(name, instead, x=x, **added, weight=weight)
    if x.shape[-1:] != weight.shape:
        raise ValueError(
            f"x is {shape(x)} and weight {shape(weight)}: the last axis of x must be "
            f"{weight.shape[0]}"
        )
    check_row(name, instead, "x", x)
    from companion.fast.kernels.norm import rms_norm_forward

    hidden = x.shape[-1]
    x = x.contiguous()
    output = torch.empty_like(x)
    total = x if residual is None else torch.empty_like(x)
    residual = x if residual is None else residual.contiguous()
    if x.numel():
        block = power_of_two(hidden)
        rms_norm_forward[(x.numel() // hidden,)](
            x,
            residual,
            weight.contiguous(),
            total,
            output,
            hidden,
            eps,
            ADD=bool(added),
            BLOCK=block,
            num_warps=min(max(block // 512, 1), 16),
        )
    return output, total


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
    instead = "companion.apply_rope"
    check_kernel("apply_rope", instead, query=query, key=key, cos=cos, sin=sin)
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
            query.stride(),
            key.stride(),
            cos.stride(),
            *(x.stride() for x in outputs),
            heads,
            kv_heads,
            length,
            HALF=head_dim // 2,
            HALF_BLOCK=power_of_two(head_dim // 2),
            HEADS_BLOCK=power_of_two(heads),
            KV_HEADS_BLOCK=power_of_two(kv_heads),
        )
    return outputs


def check_rope(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Refuse queries, keys and angles that are not of the same tokens.

    Raises: ValueError that quotes the shapes.
    """
    if query.ndim != 4 or key.ndim != 4 or query.shape[::2] != key.shape[::2]:
        raise ValueError(
            f"query is {shape(query)} and key {shape(key)}: they must be (batch, heads, "
            "length, head_dim), of the same tokens"
        )
    batch, _, length, head_dim = query.shape
    if key.shape[-1] != head_dim or head_dim % 2 or not head_dim:
        raise ValueError(
            f"query has head_dim {head_dim} and key {key.shape[-1]}: both must be the "
            "same even number"
        )
    fits = cos.ndim == 3 and cos.shape[1:] == (length, head_dim)
    if not fits or cos.shape[0] not in (1, batch) or sin.shape != cos.shape:
        raise ValueError(
            f"cos is {shape(cos)} and sin {shape(sin)}: both must be (batch, length, "
            f"head_dim) = ({batch}, {length}, {head_dim}), or of a batch of 1"
        )


def swiglu(
    gate: Float[Tensor, "*batch intermediate"], up: Float[Tensor, "*batch intermediate"]
) -> Float[Tensor, "*batch intermediate"]:
    """`companion.swiglu` in one launch.

    Raises: ValueError when the shapes differ, and for what the kernel does not take.
    """
    check_kernel("swiglu", "companion.swiglu", gate=gate, up=up)
    if gate.shape != up.shape:
        raise ValueError(
            f"gate is {shape(gate)} and up {shape(up)}: they must be equal, gate_proj "
            "and up_proj of the same tokens"
        )
    from companion.fast.kernels.mlp import swiglu_forward

    gate, up = gate.contiguous(), up.contiguous()
    output = torch.empty_like(gate)
    block = 2048
    if gate.numel():
        programs = -(-gate.numel() // block)
        swiglu_forward[(programs,)](gate, up, output, gate.numel(), BLOCK=block)
    return output
