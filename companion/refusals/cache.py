"""What the cache refuses: what does not fit it, and what there is no room for."""

from typing import Any

import torch
from torch import Tensor

from companion.refusals.numbers import is_integer


def kv_cache(
    self: object,
    config: Any,
    batch_size: int,
    max_length: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> None:
    """Refuse sizes of nothing, and a dtype that holds no keys."""
    if not all(is_integer(size) and size >= 1 for size in (batch_size, max_length)):
        raise ValueError(
            f"batch_size is {batch_size!r} and max_length {max_length!r}: both must "
            "be integers and at least 1"
        )
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(
            f"dtype is {dtype}: keys and values need a floating point dtype, the "
            "model's own (dtype=model.dtype)"
        )


def update(self: Any, key: Tensor, value: Tensor, layer_idx: int) -> None:
    """Refuse keys and values that this cache was not made for, or has no room for."""
    layers, batch, heads, _, head_dim = self.keys.shape
    if not 0 <= layer_idx < layers:
        raise ValueError(
            f"layer_idx is {layer_idx} and the cache has {layers} layers, "
            "counted from 0"
        )
    for name, x in (("key", key), ("value", value)):
        if x.ndim != 4 or (*x.shape[:2], x.shape[3]) != (batch, heads, head_dim):
            raise ValueError(
                f"{name} is {tuple(x.shape)} and the cache holds (batch {batch}, "
                f"kv_heads {heads}, length, head_dim {head_dim}): make the cache for "
                "this batch and config"
            )
        if x.dtype != self.keys.dtype or x.device != self.keys.device:
            raise ValueError(
                f"{name} is {x.dtype} on {x.device} and the cache {self.keys.dtype} "
                f"on {self.keys.device}: make the cache with the model's dtype and "
                "device"
            )
    if key.shape != value.shape:
        raise ValueError(
            f"key is {tuple(key.shape)} and value {tuple(value.shape)}: they "
            "must be equal"
        )
    check_room(self.lengths[layer_idx], self.max_length, key.shape[-2])


def crop(self: Any, length: int) -> None:
    """Refuse to keep more tokens than every layer holds."""
    if not is_integer(length) or not 0 <= length <= self.length:
        raise ValueError(
            f"the cache holds {self.length} tokens and cannot be cropped to "
            f"{length!r}: give an integer from 0 to {self.length}"
        )


def resized(self: Any, max_length: int) -> None:
    """Refuse a length that does not hold the tokens, or of layers that differ in theirs."""
    check_whole(self)
    if not is_integer(max_length) or max_length < max(self.length, 1):
        raise ValueError(
            f"the cache holds {self.length} tokens and max_length is "
            f"{max_length!r}: it must be an integer and at least "
            f"{max(self.length, 1)}; crop first to forget some"
        )


def check_room(length: int, max_length: int, q_len: int) -> None:
    """Refuse more tokens than there is room for."""
    if length + q_len > max_length:
        raise ValueError(
            f"the cache holds {length} of at most {max_length} tokens "
            f"and {q_len} more do not fit: make it with max_length "
            f"{length + q_len} or more"
        )


def check_whole(cache: Any) -> None:
    """Refuse a cache whose layers hold different numbers of tokens."""
    if cache.length != max(cache.lengths):
        ahead = sum(held > cache.length for held in cache.lengths)
        raise ValueError(
            f"the cache holds {max(cache.lengths)} tokens in {ahead} of its "
            f"{len(cache.lengths)} layers and {cache.length} in the others: a step "
            "failed midway, or layers share a layer_idx; forget what was written since "
            f"with crop({cache.length})"
        )
