"""Triton kernels of what a Llama runs, each in place of a plain function.

`launch` holds the functions that are called. The kernels themselves are in `forward`,
`decode`, `norm`, `rope` and `mlp`, each line of which runs on a GPU; a launcher imports
its own when it is called, so that importing this needs neither a GPU nor Triton.
"""

from companion.fast.kernels.launch.attention import attention
from companion.fast.kernels.launch.mlp import swiglu
from companion.fast.kernels.launch.norm import add_rms_norm, rms_norm
from companion.fast.kernels.launch.rope import apply_rope

__all__ = ["add_rms_norm", "apply_rope", "attention", "rms_norm", "swiglu"]
