"""What splitting into heads refuses, and the attention that is made of it."""

from typing import Any

from torch import Tensor, nn


def split_heads(x: Tensor, num_heads: int) -> None:
    """Refuse a last axis that the heads do not divide."""
    if x.ndim < 2:
        raise ValueError(
            f"x is {tuple(x.shape)}: split_heads needs the axes (..., length, hidden)"
        )
    if num_heads < 1 or x.shape[-1] % num_heads:
        raise ValueError(
            f"the last axis has {x.shape[-1]} features, which {num_heads} heads do "
            f"not divide (x {tuple(x.shape)}): hidden must be num_heads * head_dim"
        )


def merge_heads(x: Tensor) -> None:
    """Refuse a tensor without an axis of heads."""
    if x.ndim < 3:
        raise ValueError(
            f"x is {tuple(x.shape)}: merge_heads needs the axes (..., heads, length, "
            "head_dim)"
        )


def multi_head_attention(
    self: nn.Module,
    hidden_size: int,
    num_heads: int,
    *,
    head_dim: int | None = None,
    bias: bool = False,
    attend: Any = None,
) -> None:
    """Refuse heads that do not divide the features, unless their width is given."""
    if num_heads < 1 or (head_dim is None and hidden_size % num_heads):
        raise ValueError(
            f"hidden_size {hidden_size} is not a multiple of num_heads "
            f"{num_heads}: choose a num_heads that divides it, or give head_dim"
        )


def self_attention(
    self: Any,
    hidden_states: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> None:
    """Refuse hidden states of another width than the layer's."""
    check_hidden_size(hidden_states, self.hidden_size)


def check_hidden_size(hidden_states: Tensor, hidden_size: int) -> None:
    """Refuse hidden states whose last axis is not the layer's hidden_size."""
    if hidden_states.ndim < 2 or hidden_states.shape[-1] != hidden_size:
        raise ValueError(
            f"hidden_states is {tuple(hidden_states.shape)} and the layer's "
            f"hidden_size is {hidden_size}: it needs the axes (..., length, "
            "hidden_size)"
        )
