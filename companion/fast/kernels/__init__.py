"""Triton kernels of what a Llama runs, each in place of a plain function.

Importing this needs neither a GPU nor Triton; calling does. The kernels themselves are in
`forward`, `decode`, `norm`, `rope` and `mlp`, which only `launch` and
`launch_attention` import, when they are called.
"""

from companion.fast.kernels.launch import add_rms_norm, apply_rope, rms_norm, swiglu
from companion.fast.kernels.launch_attention import attention

__all__ = ["add_rms_norm", "apply_rope", "attention", "rms_norm", "swiglu"]
