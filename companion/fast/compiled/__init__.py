"""A decode step that was compiled, the same for every position, batch and cache."""

from companion.fast.compiled.decode import compile_decode, is_compiled
from companion.fast.compiled.step import StaticCache, one_token

__all__ = ["StaticCache", "compile_decode", "is_compiled", "one_token"]
