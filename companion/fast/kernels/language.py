"""What every kernel here needs of Triton's language, and where its interpreter differs.

The interpreter runs a kernel with numpy, on a CPU, when TRITON_INTERPRET=1 is set before
Triton is imported.
"""

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
LOG2E = tl.constexpr(1.4426950408889634)  # a GPU has 2**x as an instruction, not e**x


@triton.jit
def dot(a, b):
    """`a @ b` summed in float32; float32 is multiplied as such, not as the shorter tf32.

    The interpreter would multiply the bits of bfloat16, so it is widened there.
    """
    if INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def rounded(x, dtype: tl.constexpr):
    """Float32 in another dtype, to the nearest, ties to even.

    The interpreter would cut bfloat16 off, so its bits are rounded first there.
    """
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        bits += 0x7FFF + ((bits >> 16) & 1)
        x = (bits & 0xFFFF0000).to(tl.float32, bitcast=True)
    return x.to(dtype)
