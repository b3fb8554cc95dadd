"""The 2017 Transformer: its mistakes, and the grader of cross-attention."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import (
    imitates,
    mistaken,
    random,
    with_random_weights,
)
from companion.exercises.grading import check_numbers, check_tensor, graded, same
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
    memory_mask: Tensor,
) -> Tensor:
    """The decoder layer as it is, its memory padded."""
    return layer(hidden_states, memory, memory_mask=memory_mask)


@imitates(CrossAttention.forward, cross_arguments)
def cross_roles_exchanged(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The memory asks and the decoder's tokens answer, which passes when both have
    one length.
    """
    return layer(memory, hidden_states)


@imitates(CrossAttention.forward, cross_arguments)
def cross_value_from_decoder(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Only the keys come from the memory; the values are the decoder's own."""
    key, _ = layer.keys_and_values(memory)
    _, value = layer.keys_and_values(hidden_states)
    return layer.attend_to(hidden_states, key, value)


@imitates(CrossAttention.forward, cross_arguments)
def cross_without_memory(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Keys and values come from the decoder's tokens: self-attention once more."""
    return layer(hidden_states, hidden_states)


@imitates(CrossAttention.forward, cross_arguments)
def cross_causal(
    layer: CrossAttention, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """Cross-attention is causal: token i reads only source tokens 0 to i."""
    rows, columns = hidden_states.shape[-2], memory.shape[-2]
    mask = torch.ones(rows, columns, dtype=torch.bool, device=memory.device).tril()
    return layer(hidden_states, memory, mask)


@imitates(decoder_forward_masked, padded_arguments)
def memory_padding_seen(
    layer: TransformerDecoderLayer,
    hidden_states: Tensor,
    memory: Tensor,
    memory_mask: Tensor,
) -> Tensor:
    """The mask of the source's padding is not passed on to the decoder."""
    return layer(hidden_states, memory)


@imitates(TransformerDecoderLayer.forward, decoder_arguments)
def decoder_sees_ahead(
    layer: TransformerDecoderLayer, hidden_states: Tensor, memory: Tensor
) -> Tensor:
    """The decoder's self-attention has no causal mask (torch's layer has none unless
    it is given).
    """
    length = hidden_states.shape[-2]
    return layer(hidden_states, memory, torch.ones_like(causal_mask(length)))


@imitates(TransformerEncoderLayer.forward, encoder_arguments)
def encoder_pre_norm(layer: TransformerEncoderLayer, hidden_states: Tensor) -> Tensor:
    """Each half's input is normed, as in a Llama, not the sum after it."""
    attended = layer.self_attn(layer.norm1(hidden_states))
    hidden_states = hidden_states + attended
    normed = layer.norm2(hidden_states)
    return hidden_states + layer.linear2(F.relu(layer.linear1(normed)))


@imitates(sinusoidal_positions, lambda: (torch.arange(5)[None], 8))
def sinusoids_in_halves(position_ids: Tensor, hidden_size: int) -> Tensor:
    """All sines stand before all cosines, where the checkpoint has them in turns."""
    in_turns = sinusoidal_positions(position_ids, hidden_size)
    return torch.cat((in_turns[..., 0::2], in_turns[..., 1::2]), dim=-1)


@graded
def check_cross_attention(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(layer, hidden_states, memory)`: what a CrossAttention does, put
    together from its four projections. Two lengths that are equal, then two that are
    not.
    """
    arguments = cross_arguments(5, 5)
    expected, answer = CrossAttention.forward(*arguments), forward(*arguments)
    known = mistaken(CrossAttention.forward, *arguments)
    if problem := check_tensor("the result", answer, expected) or check_numbers(
        answer, expected, known
    ):
        return problem
    arguments = cross_arguments(3, 7)
    expected, answer = CrossAttention.forward(*arguments), forward(*arguments)
    unequal = "for 3 tokens that read 7, the result"
    if problem := check_tensor(unequal, answer, expected):
        return problem
    return None if same(answer, expected) else f"{unequal} is off"
