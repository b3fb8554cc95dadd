"""The mistakes in the 2017 Transformer."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import (
    imitates,
    random,
    with_random_weights,
)
from companion.masks import causal_mask, padding_mask
from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
)


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


def padded_arguments() -> tuple[TransformerDecoderLayer, Tensor, Tensor, Tensor]:
    """The same, and a mask of the memory's last three, which are padding."""
    mask = padding_mask(torch.tensor([[1, 1, 1, 1, 0, 0, 0]]))
    return *decoder_arguments(), mask


def encoder_arguments() -> tuple[TransformerEncoderLayer, Tensor]:
    """An encoder layer and hidden states (1, 5, 8)."""
    return with_random_weights(TransformerEncoderLayer(8, 2, 12)), random(1, 5, 8)


def decoder_forward_masked(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor | None = None,
) -> Tensor:
    """The decoder layer as it is, its memory padded if there is a mask."""
    return layer(hidden_states, memory, memory_mask=memory_mask)


imitates_decoder = partial(
    imitates, decoder_forward_masked, grader="check_encoder_decoder"
)
imitates_cross = partial(
    imitates,
    CrossAttention.forward,
    cross_arguments,
    "check_cross_attention",
    planted="a Llama has no cross-attention",
)
MEMORY = CrossAttention.forward, "keys_and_values"
ATTENDS = CrossAttention.forward, "self.attend_to"


@imitates_cross(instead_of=ATTENDS)
def cross_roles_exchanged(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The memory asks and the decoder's tokens answer, which passes when both have one
    length.

    The output is as long as the source; where both have one length only the numbers
    tell.
    """
    return layer(memory, hidden_states)  # wrong


@imitates_cross(instead_of=MEMORY)
def cross_value_from_decoder(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Only the keys come from the memory; the values are the decoder's own.

    An error where the lengths differ; where both have one length only the numbers tell.
    """
    key, _ = layer.keys_and_values(memory)
    _, value = layer.keys_and_values(hidden_states)  # wrong
    return layer.attend_to(hidden_states, key, value)


@imitates_cross(instead_of=MEMORY)
def cross_without_memory(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Keys and values come from the decoder's tokens: self-attention once more.

    Another source gives the same output.
    """
    return layer(hidden_states, hidden_states)  # wrong


@imitates_cross(instead_of=ATTENDS)
def cross_causal(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Cross-attention is causal: token i reads only source tokens 0 to i.

    The last token is right where both have one length; the first reads one token of the
    source alone.
    """
    rows, columns = hidden_states.shape[-2], memory.shape[-2]
    mask = torch.ones(rows, columns, dtype=torch.bool, device=memory.device).tril()
    return layer(hidden_states, memory, mask)  # wrong


@imitates_decoder(
    padded_arguments,
    instead_of=(decoder_forward_masked, "return layer"),
    planted="a Llama has no second text to read",
)
def memory_padding_seen(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor,
) -> Tensor:
    """The mask of the source's padding is not passed on to the decoder.

    Right for one source, wrong in a batch of sources that were padded to one length.
    """
    return layer(hidden_states, memory)  # wrong


@imitates_decoder(
    decoder_arguments,
    instead_of=(TransformerDecoderLayer.forward, "if attn_mask is None"),
    planted="the same fault as layer_not_causal in a Llama",
)
def decoder_sees_ahead(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor | None = None,
) -> Tensor:
    """The decoder's self-attention has no causal mask (torch's layer has none unless it
    is given).

    The last token is right, and those before it are not: they read what they should
    write.
    """
    everything = torch.ones_like(causal_mask(hidden_states.shape[-2]))
    return layer(hidden_states, memory, everything, memory_mask)  # wrong


@imitates(
    TransformerEncoderLayer.forward,
    encoder_arguments,
    "check_encoder_layer",
    instead_of=(TransformerEncoderLayer.forward, "+ attended"),
    planted="in a Llama it is the right way",
)
def encoder_pre_norm(layer: TransformerEncoderLayer, hidden_states: Tensor) -> Tensor:
    """Each half's input is normed, as in a Llama, not the sum after it.

    A checkpoint loads either way, and every row is off.
    """
    attended = layer.self_attn(layer.norm1(hidden_states))  # wrong
    hidden_states = hidden_states + attended
    normed = layer.norm2(hidden_states)
    return hidden_states + layer.linear2(F.relu(layer.linear1(normed)))


@imitates(
    sinusoidal_positions,
    lambda: (torch.arange(5)[None], 8),
    "check_sinusoids",
    instead_of=(sinusoidal_positions, "torch.stack"),
    planted="a Llama has RoPE instead",
)
def sinusoids_in_halves(position_ids: Tensor, hidden_size: int) -> Tensor:
    """All sines stand before all cosines, where the checkpoint has them in turns.

    Position 0 is 0 0 0 0 1 1 1 1, and 0 1 0 1 0 1 0 1 is right.
    """
    in_turns = sinusoidal_positions(position_ids, hidden_size)
    return torch.cat((in_turns[..., 0::2], in_turns[..., 1::2]), dim=-1)  # wrong
