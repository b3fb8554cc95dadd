"""What the layers of 2017 refuse."""

from typing import Any

import torch
from torch import Tensor

from companion.refusals.attention import check_same_kind
from companion.refusals.heads import check_hidden_size


def cross_attention(
    self: object, hidden_size: int, num_heads: int, *, attend: Any = None
) -> None:
    """Refuse heads that do not divide the features."""
    check_heads(hidden_size, num_heads)


def transformer_layer(
    self: object,
    hidden_size: int,
    num_heads: int,
    intermediate_size: int,
    *,
    eps: float = 1e-5,
    attend: Any = None,
) -> None:
    """Refuse heads that do not divide the features."""
    check_heads(hidden_size, num_heads)


def attend_to_memory(
    self: Any,
    hidden_states: Tensor,
    memory: Tensor,
    attn_mask: Tensor | None = None,
) -> None:
    """Refuse a memory that the hidden states cannot attend to."""
    check_memory(hidden_states, memory, self.hidden_size)


def decoder_layer(
    self: Any,
    hidden_states: Tensor,
    memory: Tensor,
    attn_mask: Tensor | None = None,
    memory_mask: Tensor | None = None,
) -> None:
    """Refuse a memory that the hidden states cannot attend to."""
    check_memory(hidden_states, memory, self.self_attn.hidden_size)


def sinusoidal_positions(
    position_ids: Tensor, hidden_size: int, dtype: torch.dtype = torch.float32
) -> None:
    """Refuse a width that is no pairs."""
    if hidden_size < 2 or hidden_size % 2:
        raise ValueError(
            f"hidden_size is {hidden_size}: each angle makes two features, its sine "
            "and its cosine, so it must be even"
        )


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Refuse heads that do not divide the features."""
    if min(hidden_size, num_heads) < 1 or hidden_size % num_heads:
        raise ValueError(
            f"hidden_size is {hidden_size} and num_heads {num_heads}: hidden_size "
            "must be a multiple of num_heads, and both at least 1"
        )


def check_memory(hidden_states: Tensor, memory: Tensor, hidden_size: int) -> None:
    """Refuse a memory that the hidden states cannot attend to."""
    check_hidden_size(hidden_states, hidden_size)
    check_same_kind("hidden_states", hidden_states, "memory", memory)
    batch = tuple(hidden_states.shape[:-2])
    if memory.shape[:-2] != batch or memory.shape[-1] != hidden_size:
        raise ValueError(
            f"memory is {tuple(memory.shape)} and hidden_states "
            f"{tuple(hidden_states.shape)}: memory must have the same batch axes "
            f"{batch} and hidden_size {hidden_size}, with a length of its own"
        )
