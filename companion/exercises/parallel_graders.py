"""Grader for the exercise on several ranks."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.exercises.grading import (
    RIGHT,
    Grade,
    check_tensor,
    diagnosis,
    graded,
    same,
    wrong,
)


@graded
def check_row_parallel(row_parallel: Callable[..., Sequence[Tensor]]) -> Grade:
    """Grade `row_parallel(inputs, weights, bias)`: the output that each rank ends with.

    Rank r has inputs[r] (length, in / ranks) and weights[r] (out, in / ranks), all have
    the bias.
    """
    for ranks in (3, 1):
        inputs, weights, bias = shares(ranks)
        given = [x.clone() for x in (*inputs, *weights, bias)]
        answers = row_parallel(inputs, weights, bias)
        if not isinstance(answers, list | tuple) or len(answers) != ranks:
            return wrong(
                f"for {ranks} ranks it should return a list of {ranks} tensors, what "
                "each rank ends with"
            )
        if not all(map(torch.equal, given, (*inputs, *weights, bias))):
            return wrong("it changes what it was given: a rank's inputs are still used")
        partial = [F.linear(*each) for each in zip(inputs, weights, strict=True)]
        whole = torch.stack(partial).sum(0)
        for rank, answer in enumerate(answers):
            name = f"rank {rank} of {ranks}"
            if problem := check_tensor(name, answer, whole):
                return problem
            if not same(answer, whole + bias):
                known = mistaken(partial, bias, rank)
                return wrong(f"{name}: {diagnosis(answer, whole + bias, known)}")
    return RIGHT


def shares(ranks: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """What each rank has of two tokens of six features, a weight (4, 6) and its bias."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 6, generator=generator)
    weight = torch.randn(4, 6, generator=generator)
    bias = torch.randn(4, generator=generator)
    return list(x.chunk(ranks, -1)), list(weight.chunk(ranks, -1)), bias


def mistaken(partial: list[Tensor], bias: Tensor, rank: int) -> dict[str, Tensor]:
    """What the usual mistakes make of a rank's output."""
    ranks, whole = len(partial), torch.stack(partial).sum(0)
    alone = "the partial sums are not added up: this is the rank's own"
    return {
        f"the bias is in there {ranks} times: the sum over ranks adds what every rank "
        "has added, so it is added once, after the sum or on one rank": whole
        + ranks * bias,
        "the bias is left out": whole,
        alone: partial[rank],
        f"{alone}, with the bias": partial[rank] + bias,
        "the ranks are averaged: their partial sums have to be added": whole / ranks
        + bias,
    }
