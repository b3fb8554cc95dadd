"""The key/value cache: what attention has to remember of the tokens before."""

from copy import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.config import LlamaConfig
from companion.refusals import cache as refusals
from companion.refusals import guarded_by

KeysAndValues = tuple[
    Float[Tensor, "batch kv_heads kv_len head_dim"],
    Float[Tensor, "batch kv_heads kv_len head_dim"],
]


@runtime_checkable
class Cache(Protocol):
    """What a layer asks of its cache: `KVCache` and Hugging Face's caches both have it."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens the layer has stored."""

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, /
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values and count them; give back all of that layer's."""


def key_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """What holds the keys of a model in `dtype` to the last bit, under autocast too."""
    if not refusals.is_autocast(device):
        return dtype
    return torch.promote_types(dtype, torch.get_autocast_dtype(device.type))


class KVCache:
    """Keys and values of every layer, with room for `max_length` tokens.

    Each layer writes its new keys and values behind its own (`update`), and has a length
    of its own: they differ while a forward pass runs, and after one that failed midway,
    which the next refuses until `crop`. Keys are stored *after* RoPE. It takes 2 · layers
    · batch · kv_heads · max_length · head_dim elements. Made for inference: all layers
    write to one tensor, through which autograd may refuse to differentiate.

    Raises: ValueError for sizes that are no integers of at least 1, and for a dtype
    that is not floating point.
    """

    @guarded_by(refusals.kv_cache)
    def __init__(
        self,
        config: LlamaConfig,
        batch_size: int,
        max_length: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        layers, heads = config.num_hidden_layers, config.num_key_value_heads
        shape = (layers, batch_size, heads, max_length, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * layers

    @property
    def shape(self) -> tuple[int, ...]:
        """(layers, batch, kv_heads, max_length, head_dim), of the keys and of the values."""
        return tuple(self.keys.shape)

    @property
    def length(self) -> int:
        """How many tokens every layer has stored."""
        return min(self.lengths)

    @property
    def max_length(self) -> int:
        """How many tokens there is room for."""
        return self.keys.shape[3]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the keys and values take, used or not."""
        return self.keys.nbytes + self.values.nbytes

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens a layer has stored, by Hugging Face's name."""
        return self.lengths[layer_idx]

    @guarded_by(refusals.update)
    def update(
        self,
        key: Float[Tensor, "batch kv_heads q_len head_dim"],
        value: Float[Tensor, "batch kv_heads q_len head_dim"],
        layer_idx: int,
        kwargs: object = None,
    ) -> KeysAndValues:
        """Write a layer's new keys and values behind the old and count them; return all.

        Under autocast they come in another dtype than the cache has; what is returned has
        that dtype.
        `kwargs`, which Hugging Face's layers hand to every cache, is not read.

        Raises: ValueError when they do not fit: another shape, dtype or device, or no
        room left.
        """
        start = self.lengths[layer_idx]
        end = start + key.shape[-2]
        self.keys[layer_idx, :, :, start:end] = key
        self.values[layer_idx, :, :, start:end] = value
        self.lengths[layer_idx] = end
        keys, values = (x[layer_idx, :, :, :end] for x in (self.keys, self.values))
        return keys.to(key.dtype), values.to(value.dtype)

    @guarded_by(refusals.crop)
    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens of each layer; the room for them stays.

        Raises: ValueError when there are not as many.
        """
        self.lengths = [int(length)] * len(self.lengths)

    @guarded_by(refusals.resized)
    def resized(self, max_length: int) -> "KVCache":
        """A copy with room for `max_length` tokens, and the same tokens in it.

        Raises: ValueError when they do not fit.
        """
        copied = copy(self)
        layers, batch, heads, _, head_dim = self.shape
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros(layers, batch, heads, max_length, head_dim)
            new[..., : self.length, :] = old[..., : self.length, :]
            setattr(copied, name, new)
        copied.crop(self.length)
        return copied
