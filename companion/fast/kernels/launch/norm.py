"""RMSNorm in one launch, with the addition before it where there is one."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.fast.kernels.launch.arguments import power_of_two
from companion.fast.kernels.refusals import check_norm, check_residual


def rms_norm(
    x: Float[Tensor, "*batch hidden"], weight: Float[Tensor, " hidden"], eps: float
) -> Float[Tensor, "*batch hidden"]:
    """`companion.rms_norm` in one launch: each token is read once and written once.

    Raises: ValueError when `x` and `weight` differ in their last axis, and for what the
    kernel does not take.
    """
    check_norm(weight, x=x)
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
    check_residual(x, residual)
    check_norm(weight, x=x, residual=residual)
    return launch_norm(x, residual, weight, eps)


def launch_norm(
    x: Float[Tensor, "*batch hidden"],
    residual: Float[Tensor, "*batch hidden"] | None,
    weight: Float[Tensor, " hidden"],
    eps: float,
) -> tuple[Float[Tensor, "*batch hidden"], Float[Tensor, "*batch hidden"]]:
    """(normed, sum): a program for each token; without a residual, the sum is `x`."""
    from companion.fast.kernels.norm import rms_norm_forward

    hidden, add = x.shape[-1], residual is not None
    x = x.contiguous()
    output = torch.empty_like(x)
    total = torch.empty_like(x) if add else x
    residual = x if residual is None else residual.contiguous()
    if x.numel():
        block = power_of_two(hidden)
        rms_norm_forward[(x.numel() // hidden,)](
            x,
            residual,
            weight.contiguous(),
            total,
            output,
            hidden=hidden,
            eps=eps,
            ADD=add,
            BLOCK=block,
            num_warps=min(max(block // 512, 1), 16),
        )
    return output, total
