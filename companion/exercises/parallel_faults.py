"""The gallery's faults over several ranks, each beside the whole computation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises import parallel_mistakes as mistakes
from companion.exercises.fault import Fault, random

RANKS = 2


def linear(x: Tensor, weight: Tensor, bias: Tensor, _: int) -> Tensor:
    """A matrix with a bias, on one device."""
    return F.linear(x, weight, bias)


def gate(x: Tensor, weight: Tensor, _: int) -> Tensor:
    """The gate of a feed-forward half, on one device."""
    return F.silu(F.linear(x, weight))


def o_proj(heads: Tensor, weight: Tensor, _: int) -> Tensor:
    """W_o, on one device."""
    return F.linear(heads, weight)


def grouped(query: Tensor, key: Tensor, value: Tensor, _: int) -> Tensor:
    """Attention of all heads, on one device."""
    return scaled_dot_product_attention(query, key, value, enable_gqa=True)


def embedding(ids: Tensor, weight: Tensor, _: int) -> Tensor:
    """The rows of some tokens, from the whole table."""
    return F.embedding(ids, weight)


def next_token(hidden_states: Tensor, head: Tensor, _: int) -> Tensor:
    """The token with the best logit, of the whole vocabulary."""
    return F.linear(hidden_states, head).argmax(-1)


def linear_arguments() -> tuple[Tensor, Tensor, Tensor, int]:
    """A weight (6, 8) and its bias, after x (1, 5, 8)."""
    return random(1, 5, 8), random(6, 8), random(6), RANKS


def square_arguments() -> tuple[Tensor, Tensor, int]:
    """A square weight, after x (1, 5, 8)."""
    return random(1, 5, 8), random(8, 8), RANKS


def heads_arguments() -> tuple[Tensor, Tensor, Tensor, int]:
    """Four query heads, and two KV heads."""
    key, value = random(2, 1, 2, 5, 8)
    return random(1, 4, 5, 8), key, value, RANKS


def embedding_arguments() -> tuple[Tensor, Tensor, int]:
    """Five tokens of a vocabulary of eight, and its table."""
    return torch.tensor([[1, 5, 2, 7, 3]]), random(8, 6), RANKS


def head_arguments() -> tuple[Tensor, Tensor, int]:
    """The last hidden states of five sequences, and the head of a vocabulary of eight."""
    head, hidden_states = random(13, 6).split((8, 5))
    return hidden_states, head, RANKS


PARALLEL_FAULTS = (
    Fault(mistakes.bias_on_every_rank, linear, linear_arguments),
    Fault(mistakes.sum_forgotten, linear, linear_arguments),
    Fault(mistakes.silu_before_the_sum, gate, square_arguments),
    Fault(mistakes.o_proj_cut_by_outputs, o_proj, square_arguments),
    Fault(mistakes.heads_dealt_in_turn, grouped, heads_arguments),
    Fault(mistakes.other_ranks_rows_embedded, embedding, embedding_arguments),
    Fault(mistakes.argmax_of_a_share, next_token, head_arguments),
)
