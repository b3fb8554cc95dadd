"""The key/value cache: what attention has to remember of the tokens before."""

from copy import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.config import LlamaConfig


@runtime_checkable
class Cache(Protocol):
    """What a layer asks of its cache: `KVCache` and Hugging Face's caches both have it."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens the layer has stored."""

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, /
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values; give back all of that layer's."""


class KVCache:
    """Keys and values of every layer, with room for `max_length` tokens.

    Each layer writes its new keys and values behind the `length` tokens already there
    (`update`); the model counts them once, when all its layers have written
    (`advance`). Keys are stored *after* RoPE. It takes 2 · layers · batch · kv_heads
    · max_length · head_dim elements. Made for inference: all layers write to one
    tensor, through which autograd may refuse to differentiate.

    Raises: ValueError for sizes that are no integers of at least 1, and for a dtype
    that is not floating point.
    """

    def __init__(
        self,
        config: LlamaConfig,
        batch_size: int,
        max_length: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
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
        shape = (
            config.num_hidden_layers,
            batch_size,
            config.num_key_value_heads,
            max_length,
            config.head_dim,
        )
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(layers, batch, kv_heads, max_length, head_dim), of the keys and of the values."""
        return tuple(self.keys.shape)

    @property
    def max_length(self) -> int:
        """How many tokens there is room for."""
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the keys and values take, used or not."""
        return self.keys.nbytes + self.values.nbytes

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens are stored; Hugging Face's name for `length`."""
        return self.length

    def update(
        self,
        key: Float[Tensor, "batch kv_heads q_len head_dim"],
        value: Float[Tensor, "batch kv_heads q_len head_dim"],
        layer_idx: int,
    ) -> tuple[
        Float[Tensor, "batch kv_heads kv_len head_dim"],
        Float[Tensor, "batch kv_heads kv_len head_dim"],
    ]:
        """Write a layer's new keys and values behind the old; return all of them.

        Raises: ValueError when they do not fit: another shape, dtype or device, or no
        room left.
        """
        end = self.length + key.shape[-2]
        self._check(key, "key", layer_idx)
        self._check(value, "value", layer_idx)
        if key.shape != value.shape:
            raise ValueError(
                f"key is {tuple(key.shape)} and value {tuple(value.shape)}: they "
                "must be equal"
            )
        self.keys[layer_idx, :, :, self.length : end] = key
        self.values[layer_idx, :, :, self.length : end] = value
        return self.keys[layer_idx, :, :, :end], self.values[layer_idx, :, :, :end]

    def advance(self, q_len: int) -> None:
        """Count `q_len` tokens as stored, once all layers have written them.

        Raises: ValueError when there is no room for them, or `q_len` is negative.
        """
        self.check_room(q_len)
        self.length += q_len

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens; the room for them stays.

        Raises: ValueError when there are not as many.
        """
        if not is_integer(length) or not 0 <= length <= self.length:
            raise ValueError(
                f"the cache holds {self.length} tokens and cannot be cropped to "
                f"{length!r}: give an integer from 0 to {self.length}"
            )
        self.length = length

    def resized(self, max_length: int) -> "KVCache":
        """A copy with room for `max_length` tokens, and the same tokens in it.

        Raises: ValueError when they do not fit.
        """
        if not is_integer(max_length) or max_length < max(self.length, 1):
            raise ValueError(
                f"the cache holds {self.length} tokens and max_length is "
                f"{max_length!r}: it must be an integer and at least "
                f"{max(self.length, 1)}; crop first to forget some"
            )
        copied = copy(self)
        layers, batch, heads, _, head_dim = self.shape
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros(layers, batch, heads, max_length, head_dim)
            new[..., : self.length, :] = old[..., : self.length, :]
            setattr(copied, name, new)
        return copied

    def check_room(self, q_len: int) -> None:
        """Refuse more tokens than there is room for.

        Raises: ValueError that says how many there are, and how long the cache would
        have to be, and for a `q_len` that is no integer or is negative.
        """
        if not is_integer(q_len) or q_len < 0:
            raise ValueError(
                f"q_len is {q_len!r}: it must be an integer and cannot be negative; "
                "crop(length) forgets tokens"
            )
        if self.length + q_len > self.max_length:
            raise ValueError(
                f"the cache holds {self.length} of at most {self.max_length} tokens "
                f"and {q_len} more do not fit: make it with max_length "
                f"{self.length + q_len} or more"
            )

    def _check(self, x: Tensor, name: str, layer_idx: int) -> None:
        layers, batch, heads, _, head_dim = self.keys.shape
        if not 0 <= layer_idx < layers:
            raise ValueError(
                f"layer_idx is {layer_idx} and the cache has {layers} layers, "
                "counted from 0"
            )
        if x.ndim != 4 or (x.shape[0], x.shape[1], x.shape[3]) != (
            batch,
            heads,
            head_dim,
        ):
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
        self.check_room(x.shape[-2])


def is_integer(value: object) -> bool:
    """Whether a value is an int, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)
