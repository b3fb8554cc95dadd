"""RMSNorm as one Triton kernel: a program reads one token once.

Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", equation (4).
"""

import triton
import triton.language as tl

from companion.fast.kernels.language import rounded


@triton.jit
def rms_norm_forward(
    x, residual, weight, total, output, hidden, eps,
    ADD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`companion.rms_norm` of one token, of `x + residual` where `ADD` says so."""
    columns = tl.arange(0, BLOCK)
    inside = columns < hidden
    token = tl.program_id(0).to(tl.int64) * hidden
    dtype = output.dtype.element_ty
    wide = tl.load(x + token + columns, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        wide += tl.load(residual + token + columns, mask=inside, other=0.0)
        # the sum goes on as the residual, in its dtype, and it is the sum that is normed
        narrow = rounded(wide, dtype)
        tl.store(total + token + columns, narrow, mask=inside)
        wide = narrow.to(tl.float32)
    normed = wide * tl.rsqrt(tl.sum(wide * wide, axis=0) / hidden + eps)
    scale = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    # cast before the weight multiplies, as the reference does
    product = scale * rounded(normed, dtype).to(tl.float32)
    tl.store(output + token + columns, rounded(product, dtype), mask=inside)
