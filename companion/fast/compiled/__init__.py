"""Programs compiled once for every position, batch and cache: a decode step's, a prefill's."""

from companion.fast.compiled.decode import compile_decode, is_compiled
from companion.fast.compiled.prefill import compile_prefill
from companion.fast.compiled.step import StaticCache, one_token

__all__ = [
    "StaticCache",
    "compile_decode",
    "compile_prefill",
    "is_compiled",
    "one_token",
]
