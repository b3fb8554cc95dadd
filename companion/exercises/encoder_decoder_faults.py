"""The gallery's faults in the 2017 Transformer."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from companion.exercises import encoder_decoder_mistakes as mistakes
from companion.exercises.fault import Fault, random
from companion.masks import padding_mask
from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
)

Layer = TypeVar("Layer", bound=nn.Module)


def with_random_weights(layer: Layer) -> Layer:
    """The layer with weights, biases and norms that are all in use."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in layer.requires_grad_(False).named_parameters():
        mean = 1.0 if name.startswith("norm") and name.endswith("weight") else 0.0
        parameter.normal_(mean, 0.3, generator=generator)
    return layer.eval()


def cross_arguments(
    q_len: int = 5, kv_len: int = 5
) -> tuple[CrossAttention, Tensor, Tensor]:
    """Cross-attention of two heads, hidden states (1, q_len, 8), memory
    (1, kv_len, 8).
    """
    both = random(1, q_len + kv_len, 8)
    layer = with_random_weights(CrossAttention(8, 2))
    return layer, both[:, :q_len], both[:, q_len:]


def decoder_arguments() -> tuple[TransformerDecoderLayer, Tensor, Tensor]:
    """A decoder layer, hidden states (1, 5, 8), memory (1, 7, 8)."""
    _, hidden_states, memory = cross_arguments(5, 7)
    layer = with_random_weights(TransformerDecoderLayer(8, 2, 12))
    return layer, hidden_states, memory


def cross_forward(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Cross-attention as it is."""
    return layer(hidden_states, memory)


def decoder_forward(
    layer: TransformerDecoderLayer, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The decoder layer as it is."""
    return layer(hidden_states, memory)


def decoder_forward_masked(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor,
) -> Tensor:
    """The decoder layer as it is, its memory padded."""
    return layer(hidden_states, memory, memory_mask=memory_mask)


def encoder_forward(layer: TransformerEncoderLayer, hidden_states: Tensor) -> Tensor:
    """The encoder layer as it is."""
    return layer(hidden_states)


CROSS_FAULTS = tuple(
    Fault(wrong, cross_forward, cross_arguments)
    for wrong in (
        mistakes.cross_roles_exchanged,
        mistakes.cross_value_from_decoder,
        mistakes.cross_without_memory,
        mistakes.cross_causal,
    )
)

ENCODER_DECODER_FAULTS = (
    *CROSS_FAULTS,
    Fault(
        mistakes.memory_padding_seen,
        decoder_forward_masked,
        lambda: (
            *decoder_arguments(),
            padding_mask(torch.tensor([[1, 1, 1, 1, 0, 0, 0]])),
        ),
    ),
    Fault(mistakes.decoder_sees_ahead, decoder_forward, decoder_arguments),
    Fault(
        mistakes.encoder_pre_norm,
        encoder_forward,
        lambda: (
            with_random_weights(TransformerEncoderLayer(8, 2, 12)),
            random(1, 5, 8),
        ),
    ),
    Fault(
        mistakes.sinusoids_in_halves,
        sinusoidal_positions,
        lambda: (torch.arange(5)[None], 8),
    ),
)
