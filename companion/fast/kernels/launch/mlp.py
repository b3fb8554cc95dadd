"""SwiGLU in one launch."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.fast.kernels.refusals import check_swiglu

BLOCK = 2048  # features of one program


def swiglu(
    gate: Float[Tensor, "*batch intermediate"], up: Float[Tensor, "*batch intermediate"]
) -> Float[Tensor, "*batch intermediate"]:
    """`companion.swiglu` in one launch.

    Raises: ValueError when the shapes differ, and for what the kernel does not take.
    """
    check_swiglu(gate, up)
    from companion.fast.kernels.mlp import swiglu_forward

    gate, up = gate.contiguous(), up.contiguous()
    output, elements = torch.empty_like(gate), gate.numel()
    if elements:
        programs = -(-elements // BLOCK)
        swiglu_forward[(programs,)](gate, up, output, elements=elements, BLOCK=BLOCK)
    return output
