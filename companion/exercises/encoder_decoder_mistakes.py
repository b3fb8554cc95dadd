"""The mistakes of the gallery in the 2017 Transformer: each imitates a function and
keeps its shapes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.masks import causal_mask
from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
)


def cross_roles_exchanged(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The memory asks and the decoder's tokens answer, which passes when both have
    one length.
    """
    return layer(memory, hidden_states)


def cross_value_from_decoder(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Only the keys come from the memory; the values are the decoder's own."""
    key, _ = layer.keys_and_values(memory)
    _, value = layer.keys_and_values(hidden_states)
    return layer.attend_to(hidden_states, key, value)


def cross_without_memory(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Keys and values come from the decoder's tokens: self-attention once more."""
    return layer(hidden_states, hidden_states)


def cross_causal(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Cross-attention is causal: token i reads only source tokens 0 to i."""
    rows, columns = hidden_states.shape[-2], memory.shape[-2]
    mask = torch.ones(rows, columns, dtype=torch.bool, device=memory.device).tril()
    return layer(hidden_states, memory, mask)


def memory_padding_seen(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor,
) -> Tensor:
    """The mask of the source's padding is not passed on to the decoder."""
    return layer(hidden_states, memory)


def decoder_sees_ahead(
    layer: TransformerDecoderLayer, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The decoder's self-attention has no causal mask (torch's layer has none unless
    it is given).
    """
    length = hidden_states.shape[-2]
    return layer(hidden_states, memory, torch.ones_like(causal_mask(length)))


def encoder_pre_norm(layer: TransformerEncoderLayer, hidden_states: Tensor) -> Tensor:
    """Each half's input is normed, as in a Llama, not the sum after it."""
    attended = layer.self_attn(layer.norm1(hidden_states))
    hidden_states = hidden_states + attended
    normed = layer.norm2(hidden_states)
    return hidden_states + layer.linear2(F.relu(layer.linear1(normed)))


def sinusoids_in_halves(position_ids: Tensor, hidden_size: int) -> Tensor:
    """All sines stand before all cosines, where the checkpoint has them in turns."""
    in_turns = sinusoidal_positions(position_ids, hidden_size)
    return torch.cat((in_turns[..., 0::2], in_turns[..., 1::2]), dim=-1)
