"""The mistakes with several ranks. Each goes through the ranks one after the other, in one
process, and returns what they end with.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.adapters import ATTEND
from companion.exercises.gallery import imitates, random
from companion.exercises.planting import Planted
from companion.exercises.ranks import (
    chosen_as_logits,
    embedding,
    gate,
    gate_of_an_mlp,
    grouped,
    linear,
    next_token,
    o_proj,
    on_two_ranks,
    one_query_at_a_time,
    without_bias,
)

RANKS = 2


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


def on_each_rank(wrong: Callable[..., Tensor]) -> Callable[..., list[Tensor]]:
    """What every rank ends with, given the shares of all."""

    def row_parallel(
        inputs: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor
    ) -> list[Tensor]:
        ranks = len(inputs)
        whole = torch.cat(tuple(inputs), -1), torch.cat(tuple(weights), -1)
        return [wrong(*whole, bias, ranks)] * ranks

    return row_parallel


# The matrices of a layer that are cut by their inputs.
SUMMED = [f"model.layers.*.{x}.forward" for x in ("self_attn.o_proj", "mlp.down_proj")]
imitates_linear = partial(
    imitates,
    linear,
    linear_arguments,
    "check_row_parallel",
    answer=on_each_rank,
    instead_of=(linear, "+ bias"),
)


@imitates_linear(planted="the matrices of a Llama have no bias")
def bias_on_every_rank(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The bias of a matrix cut by its inputs is added on every rank, so that the sum
    contains it once for each rank.

    Right on one rank, and right where the bias is zero or missing.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.linear(*part, bias) for part in parts]).sum(0)  # wrong


@imitates_linear(planted=Planted(dict.fromkeys(SUMMED, without_bias)))
def sum_forgotten(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The sum over the ranks is left out, so that each goes on with its partial sum,
    here rank 0.

    Right on one rank; on more each rank goes on with numbers of its own, and the text
    is noise.
    """
    return F.linear(x.chunk(ranks, -1)[0], weight.chunk(ranks, -1)[0], bias)  # wrong


@imitates(
    gate,
    square_arguments,
    "check_parallel_gate",
    instead_of=(gate, "F.silu"),
    planted=Planted({"model.layers.*.mlp.forward": gate_of_an_mlp}),
)
def silu_before_the_sum(x: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """The gate's matrix is cut by its inputs, and silu applied to the partial sums
    instead of to their sum.

    Right on one rank; on two the text is noise.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.silu(F.linear(*part)) for part in parts]).sum(0)  # wrong


@imitates(
    o_proj,
    square_arguments,
    "check_parallel_o_proj",
    instead_of=(o_proj, "zip("),
    planted=Planted({SUMMED[0]: on_two_ranks}),
)
def o_proj_cut_by_outputs(heads: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """W_o is cut by its outputs, rows of the stored weight, like the other three; where
    it is square, a piece fits when it is transposed.

    An error where the matrix is not square; where it is, wrong numbers on one rank too.
    """
    parts = zip(heads.chunk(ranks, -1), weight.chunk(ranks, 0), strict=True)  # wrong
    return torch.stack([part @ rows for part, rows in parts]).sum(0)


@imitates(
    grouped,
    heads_arguments,
    "check_parallel_heads",
    instead_of=(grouped, "zip("),
    planted=Planted({ATTEND: one_query_at_a_time}),
)
def heads_dealt_in_turn(
    query: Tensor, key: Tensor, value: Tensor, ranks: int
) -> Tensor:
    """Query heads are dealt to the ranks in turn, KV heads in runs, so that some query
    heads are on another rank than their key.

    Right on one rank; on two ranks, half of the heads read the keys of others.
    """
    output = torch.empty_like(query)
    for rank in range(ranks):
        output[:, rank::ranks] = scaled_dot_product_attention(
            query[:, rank::ranks],  # wrong
            key.chunk(ranks, dim=1)[rank],
            value.chunk(ranks, dim=1)[rank],
            enable_gqa=True,
        )
    return output


@imitates(
    embedding,
    embedding_arguments,
    "check_parallel_embedding",
    instead_of=(embedding, "found.append"),
    planted=Planted({"model.embed_tokens.forward": on_two_ranks}),
)
def other_ranks_rows_embedded(ids: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """A token whose row is on another rank gives this rank's nearest row, not zeros,
    and the sum adds them all.

    Right on one rank; on two ranks, each token has the row of another added to its own.
    """
    rows = weight.shape[0] // ranks
    found = [
        F.embedding((ids - rank * rows).clamp(0, rows - 1), part)  # wrong
        for rank, part in enumerate(weight.chunk(ranks))
    ]
    return torch.stack(found).sum(0)


@imitates(
    next_token,
    head_arguments,
    "check_parallel_argmax",
    instead_of=(next_token, "rank * rows"),
    planted=Planted({"logits": chosen_as_logits}),
)
def argmax_of_a_share(hidden_states: Tensor, head: Tensor, ranks: int) -> Tensor:
    """The best logit of all ranks is found, but its place in the rank's share of the
    vocabulary is taken for the token.

    Right as long as the tokens are in the first rank's share, the frequent ones; then
    another word comes.
    """
    found = [F.linear(hidden_states, part).max(-1) for part in head.chunk(ranks)]
    best = torch.stack([each.values for each in found]).argmax(0, keepdim=True)
    return torch.stack([each.indices for each in found]).gather(0, best)[0]  # wrong
