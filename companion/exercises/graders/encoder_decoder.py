"""The graders of the 2017 Transformer."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises.encoder_decoder import (
    cross_arguments,
    decoder_forward_masked,
    encoder_arguments,
    padded_arguments,
)
from companion.exercises.gallery import mistaken
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import (
    check_numbers,
    check_tensor,
    graded,
    same,
)
from companion.transformer_2017 import (
    CrossAttention,
    TransformerEncoderLayer,
    sinusoidal_positions,
)


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


@graded
def check_encoder_layer(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(layer, hidden_states)`: what a TransformerEncoderLayer does, put
    together from its parts.
    """
    layer, hidden_states = encoder_arguments()
    cases = {
        "with five tokens": (layer, hidden_states),
        "with one token": (layer, hidden_states[:, :1]),
    }
    return check_cases(forward, TransformerEncoderLayer.forward, cases)


@graded
def check_encoder_decoder(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(layer, hidden_states, memory, memory_mask)`: what a
    TransformerDecoderLayer does, put together from its parts.
    """
    layer, hidden_states, memory, mask = padded_arguments()
    everything = torch.ones_like(mask)
    cases = {
        "with no padding": (layer, hidden_states, memory, everything),
        "with padding in the memory": (layer, hidden_states, memory, mask),
    }
    return check_cases(forward, decoder_forward_masked, cases)


@graded
def check_sinusoids(positions: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `positions(position_ids, hidden_size)`: the sinusoids of 2017, (batch, length,
    hidden_size).
    """
    cases = {
        "for positions 0 to 4": (torch.arange(5)[None], 8),
        "for position 100": (torch.tensor([[100]]), 6),
    }
    return check_cases(positions, sinusoidal_positions, cases)
