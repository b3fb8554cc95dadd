"""SwiGLU as one Triton kernel.

Source: Shazeer 2020, "GLU Variants Improve Transformer", equation (6).
"""

import triton
import triton.language as tl

from companion.fast.kernels.language import rounded


@triton.jit
def swiglu_forward(gate, up, output, elements, BLOCK: tl.constexpr):
    """`companion.swiglu` of `BLOCK` neighboring features."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < elements
    g = tl.load(gate + place, mask=inside, other=0.0).to(tl.float32)
    u = tl.load(up + place, mask=inside, other=0.0).to(tl.float32)
    product = g * tl.sigmoid(g) * u
    tl.store(output + place, rounded(product, output.dtype.element_ty), mask=inside)
