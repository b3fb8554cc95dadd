"""Several ranks: the mistakes, and the grader of a row-parallel matrix. Each mistake goes
through the ranks one after the other, in one process, and returns what they end with.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import imitates, random
from companion.exercises.grading import check_numbers, check_tensor, graded

RANKS = 2


def on_one_device(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function of the whole tensors, which is not told the number of ranks."""

    def whole(*arguments: Any) -> Tensor:
        return function(*arguments[:-1])

    return whole


linear = on_one_device(F.linear)
gate = on_one_device(lambda x, weight: F.silu(F.linear(x, weight)))
o_proj = on_one_device(F.linear)
grouped = on_one_device(partial(scaled_dot_product_attention, enable_gqa=True))
embedding = on_one_device(F.embedding)
next_token = on_one_device(lambda x, head: F.linear(x, head).argmax(-1))


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


@imitates(linear, linear_arguments)
def bias_on_every_rank(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The bias of a matrix cut by its inputs is added on every rank, and by the sum as
    many times as there are ranks.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.linear(*part, bias) for part in parts]).sum(0)


@imitates(linear, linear_arguments)
def sum_forgotten(x: Tensor, weight: Tensor, bias: Tensor, ranks: int) -> Tensor:
    """The sum over the ranks is left out, so that each goes on with its partial sum,
    here rank 0.
    """
    return F.linear(x.chunk(ranks, -1)[0], weight.chunk(ranks, -1)[0], bias)


@imitates(gate, square_arguments)
def silu_before_the_sum(x: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """The gate's matrix is cut by its inputs, and silu applied to the partial sums
    instead of to their sum.
    """
    parts = zip(x.chunk(ranks, -1), weight.chunk(ranks, -1), strict=True)
    return torch.stack([F.silu(F.linear(*part)) for part in parts]).sum(0)


@imitates(o_proj, square_arguments)
def o_proj_cut_by_outputs(heads: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """W_o is cut by its outputs, rows of the stored weight, like the other three; where
    it is square, a piece fits when it is transposed.
    """
    parts = zip(heads.chunk(ranks, -1), weight.chunk(ranks, 0), strict=True)
    return torch.stack([part @ rows for part, rows in parts]).sum(0)


@imitates(grouped, heads_arguments)
def heads_dealt_in_turn(
    query: Tensor, key: Tensor, value: Tensor, ranks: int
) -> Tensor:
    """Query heads are dealt to the ranks in turn, KV heads in runs, so that some query
    heads are on another rank than their key.
    """
    output = torch.empty_like(query)
    for rank in range(ranks):
        output[:, rank::ranks] = scaled_dot_product_attention(
            query[:, rank::ranks],
            key.chunk(ranks, dim=1)[rank],
            value.chunk(ranks, dim=1)[rank],
            enable_gqa=True,
        )
    return output


@imitates(embedding, embedding_arguments)
def other_ranks_rows_embedded(ids: Tensor, weight: Tensor, ranks: int) -> Tensor:
    """A token whose row is on another rank gives this rank's nearest row, not zeros, and
    the sum adds them all.
    """
    rows = weight.shape[0] // ranks
    found = [
        F.embedding((ids - rank * rows).clamp(0, rows - 1), part)
        for rank, part in enumerate(weight.chunk(ranks))
    ]
    return torch.stack(found).sum(0)


@imitates(next_token, head_arguments)
def argmax_of_a_share(hidden_states: Tensor, head: Tensor, ranks: int) -> Tensor:
    """The best logit of all ranks is found, but its place in the rank's share of the
    vocabulary is taken for the token.
    """
    found = [F.linear(hidden_states, part).max(-1) for part in head.chunk(ranks)]
    best = torch.stack([each.values for each in found]).argmax(0, keepdim=True)
    return torch.stack([each.indices for each in found]).gather(0, best)[0]


@graded
def check_row_parallel(row_parallel: Callable[..., Sequence[Tensor]]) -> str | None:
    """Grade `row_parallel(inputs, weights, bias)`: the output that each rank ends with.

    Rank r has inputs[r] (length, in / ranks) and weights[r] (out, in / ranks), all have
    the bias.
    """
    for ranks in (3, 1):
        inputs, weights, bias = shares(ranks)
        given = [x.clone() for x in (*inputs, *weights, bias)]
        answers = row_parallel(inputs, weights, bias)
        if not isinstance(answers, list | tuple) or len(answers) != ranks:
            return (
                f"for {ranks} ranks it should return a list of {ranks} tensors, what "
                "each rank ends with"
            )
        if not all(map(torch.equal, given, (*inputs, *weights, bias))):
            return "it changes what it was given: a rank's inputs are still used"
        parts = [F.linear(*each) for each in zip(inputs, weights, strict=True)]
        whole = torch.stack(parts).sum(0)
        for rank, answer in enumerate(answers):
            name = f"rank {rank} of {ranks}"
            if problem := check_tensor(name, answer, whole):
                return problem
            known = summed_wrongly(parts, bias, rank)
            if problem := check_numbers(answer, whole + bias, known):
                return f"{name}: {problem}"
    return None


def shares(ranks: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """What each rank has of two tokens of six features, a weight (4, 6) and its bias."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 6, generator=generator)
    weight = torch.randn(4, 6, generator=generator)
    bias = torch.randn(4, generator=generator)
    return list(x.chunk(ranks, -1)), list(weight.chunk(ranks, -1)), bias


def summed_wrongly(parts: list[Tensor], bias: Tensor, rank: int) -> dict[str, Tensor]:
    """What the usual mistakes make of a rank's output."""
    ranks, whole = len(parts), torch.stack(parts).sum(0)
    alone = "the partial sums are not added up: this is the rank's own"
    return {
        f"the bias is in there {ranks} times: the sum over ranks adds what every rank "
        "has added, so it is added once, after the sum or on one rank": whole
        + ranks * bias,
        "the bias is left out": whole,
        alone: parts[rank],
        f"{alone}, with the bias": parts[rank] + bias,
        "the ranks are averaged: their partial sums have to be added": whole / ranks
        + bias,
    }
