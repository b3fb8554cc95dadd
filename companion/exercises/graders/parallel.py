"""The graders of several ranks, which go through them one after the other in one process."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.gallery import random
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.ranks import (
    embedding,
    gate,
    grouped,
    next_token,
    o_proj,
)


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


@graded
def check_parallel_gate(gated: Callable[[Tensor, Tensor, int], Tensor]) -> str | None:
    """Grade `gated(x, weight, ranks)`: silu(x @ weightᵀ), as the ranks compute it together."""
    x = random(1, 5, 8)
    cases = {
        "on 2 ranks": (x, random(8, 8), 2),
        "on 4 ranks": (x, random(12, 8), 4),
        "on 1 rank": (x, random(12, 8), 1),
    }
    return check_cases(gated, gate, cases)


@graded
def check_parallel_o_proj(
    output: Callable[[Tensor, Tensor, int], Tensor],
) -> str | None:
    """Grade `output(heads, weight, ranks)`: heads @ weightᵀ, where each rank has its share of
    the heads' features.
    """
    heads = random(1, 5, 8)
    cases = {
        "on 2 ranks": (heads, random(8, 8), 2),
        "on 1 rank": (heads, random(8, 8), 1),
        "on 2 ranks, 6 outputs": (heads, random(6, 8), 2),
    }
    return check_cases(output, o_proj, cases)


@graded
def check_parallel_heads(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(query, key, value, ranks)`: attention of grouped heads without a mask,
    each rank with its share of them.
    """
    query, key, value = random(3, 1, 8, 5, 8)
    cases = {
        "4 heads on 2 ranks": (query[:, :4], key[:, :2], value[:, :2], 2),
        "8 heads on 4 ranks": (query, key[:, :4], value[:, :4], 4),
        "4 heads on 1 rank": (query[:, :4], key[:, :2], value[:, :2], 1),
    }
    return check_cases(attend, grouped, cases)


@graded
def check_parallel_embedding(
    embedded: Callable[[Tensor, Tensor, int], Tensor],
) -> str | None:
    """Grade `embedded(ids, weight, ranks)`: the rows of these ids, where each rank has its
    share of the rows.
    """
    ids = torch.tensor([[1, 5, 2, 7, 3, 0]])
    cases = {f"on {ranks} ranks": (ids, random(8, 6), ranks) for ranks in (2, 4, 1)}
    return check_cases(embedded, embedding, cases)


@graded
def check_parallel_argmax(
    chosen: Callable[[Tensor, Tensor, int], Tensor],
) -> str | None:
    """Grade `chosen(hidden_states, head, ranks)`: the likeliest token of each row, where each
    rank has its share of the vocabulary.
    """
    head, hidden_states = random(18, 6).split((8, 10))
    cases = {f"on {ranks} ranks": (hidden_states, head, ranks) for ranks in (2, 4, 1)}
    return check_cases(chosen, next_token, cases)
