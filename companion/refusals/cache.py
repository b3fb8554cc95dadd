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
    """Refuse what is no config, sizes of nothing, and a dtype that holds no keys."""
    if not hasattr(config, "num_hidden_layers"):
        raise ValueError(
            f"config is a {type(config).__name__}: it must be a LlamaConfig, such as "
            "model.config"
        )
    if not all(is_integer(size) and size >= 1 for size in (batch_size, max_length)):
        raise ValueError(
            f"batch_size is {batch_size!r} and max_length {max_length!r}: both must "
            "be integers and at least 1"
        )
    if not is_wide(dtype):
        raise ValueError(
            f"dtype is {dtype!r}: keys and values need a floating point dtype, the "
            "model's own (dtype=model.dtype)"
        )


def update(
    self: Any, key: Tensor, value: Tensor, layer_idx: int, kwargs: object = None
) -> None:
    """Refuse keys and values that this cache was not made for, or has no room for."""
    layers, batch, heads, _, head_dim = self.keys.shape
    if not is_integer(layer_idx) or not 0 <= layer_idx < layers:
        raise ValueError(
            f"layer_idx is {layer_idx!r} and the cache has {layers} layers, "
            "counted from 0"
        )
    for name, x in (("key", key), ("value", value)):
        if x.ndim != 4 or (*x.shape[:2], x.shape[3]) != (batch, heads, head_dim):
            raise ValueError(
                f"{name} is {tuple(x.shape)} and the cache holds (batch {batch}, "
                f"kv_heads {heads}, length, head_dim {head_dim}): make the cache for "
                "this batch and config"
            )
        held = is_held(x.dtype, self.keys.dtype, x.device)
        if not held or x.device != self.keys.device:
            raise ValueError(
                f"{name} of layer {layer_idx} is {x.dtype} on {x.device} and the cache "
                f"{self.keys.dtype} on {self.keys.device}: a cache has one of each for all "
                f"layers, KVCache(..., dtype={x.dtype}, device={str(x.device)!r})"
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


def check_made_for(
    cache: Any, config: Any, batch: int, dtype: torch.dtype, device: torch.device
) -> None:
    """Refuse a cache of other sizes, of another dtype than a model's, or elsewhere.

    Raises: ValueError that quotes both, and writes the cache that fits.
    """
    layers, heads = config.num_hidden_layers, config.num_key_value_heads
    needed = (layers, batch, heads, cache.max_length, config.head_dim)
    held = cache.keys.dtype
    fits = held == dtype or is_autocast(device)  # then `update` sees what comes
    if (cache.shape, cache.keys.device) != (needed, device) or not fits:
        raise ValueError(
            f"past_key_values was made for (layers, batch, kv_heads, max_length, head_dim) "
            f"= {cache.shape} in {held} on {cache.keys.device} and this call needs {needed} "
            f"in {dtype} on {device}: make another, KVCache(model.config, {batch}, "
            f"{cache.max_length}, dtype=model.dtype, device=model.device)"
        )


def check_text(cache: Any, length: int, max_new_tokens: int) -> None:
    """Refuse a cache that holds the whole text already, or has no room for what follows.

    Raises: ValueError that quotes both lengths and says what to do.
    """
    if cache.length >= length:
        raise ValueError(
            f"past_key_values holds {cache.length} tokens and input_ids has {length}: "
            "pass the whole text, cached tokens included and at least one more, or "
            f"forget the last ones with crop({length - 1})"
        )
    room = length + max(max_new_tokens, 1) - 1  # the last token chosen is not run
    if cache.max_length < room:
        raise ValueError(
            f"past_key_values has room for {cache.max_length} tokens, and {length} "
            f"with {max_new_tokens} new ones need {room}: enlarge it with "
            f"past_key_values = past_key_values.resized({room})"
        )


def is_wide(dtype: object) -> bool:
    """Whether keys can be computed with in a dtype: float8 is for storing alone."""
    return (
        isinstance(dtype, torch.dtype)
        and dtype.is_floating_point
        and dtype.itemsize > 1
    )


def is_held(dtype: torch.dtype, cache: torch.dtype, device: torch.device) -> bool:
    """Whether a cache takes keys of a dtype: its own, and under autocast, which makes them
    in another, any that it holds to the last bit.
    """
    if dtype == cache or not (is_wide(dtype) and is_autocast(device)):
        return dtype == cache
    return torch.promote_types(dtype, cache) == cache


def is_autocast(device: torch.device) -> bool:
    """Whether torch.autocast chooses the dtype of products on a device."""
    kind = device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
