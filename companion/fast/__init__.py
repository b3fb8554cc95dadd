"""The same functions, faster. Each takes the place of a plain one, chosen by whoever calls.

Nothing in the core imports this, and nothing here looks for hardware when imported.
"""

from companion.attention import Attend, scaled_dot_product_attention
from companion.fast import kernels
from companion.fast.blocks import blocks
from companion.fast.compiled import compile_decode, compile_prefill
from companion.fast.kernels.layers import with_kernels
from companion.fast.sdpa import sdpa
from companion.fast.tiled import tiled
from companion.fast.weights import int4, int8, packed

# Forms of attention with one signature: any of them can be `attend` of a layer or model.
attention: dict[str, Attend] = {
    "plain": scaled_dot_product_attention,
    "tiled": tiled,
    "blocks": blocks,
    "sdpa": sdpa,
    "triton": kernels.attention,  # on a GPU
}

__all__ = [
    "attention",
    "blocks",
    "compile_decode",
    "compile_prefill",
    "int4",
    "int8",
    "kernels",
    "packed",
    "sdpa",
    "tiled",
    "with_kernels",
]
