"""The Transformer of 2017: encoder, decoder with cross-attention, sinusoidal positions."""

from companion.transformer_2017.encoder_decoder import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from companion.transformer_2017.sinusoidal import sinusoidal_positions
from companion.transformer_2017.torch_weights import weights_from_torch

__all__ = [
    "CrossAttention",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "sinusoidal_positions",
    "weights_from_torch",
]
