"""The graders of attention in tiles and of a merge."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.exercises.gallery import random
from companion.exercises.graders.cases import check_cases
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.online_softmax import Partial, causal_attention


@graded
def check_merge(merge: Callable[[tuple, tuple], tuple]) -> str | None:
    """Grade `merge(first, second)`: two `(row_max, row_sum, acc)`, of the same queries
    over different keys, become that of all these keys.
    """
    for keys_of_the_first in (3, 5, 1):
        first, second, expected = in_two_parts(keys_of_the_first)
        merged = merge(first, second)
        if not isinstance(merged, tuple) or len(merged) != 3:
            return (
                f"merge returned {type(merged).__name__}: it should be the three "
                "tensors (row_max, row_sum, acc)"
            )
        known = merged_wrongly(first, second, expected)
        for name, answer, right in zip(Partial._fields, merged, expected, strict=True):
            if problem := check_tensor(name, answer, right):
                return problem
            if answer.isnan().any():
                return (
                    f"{name} is not a number where a query sees no key of one part: "
                    "that part's row_max is -inf, and exp(its row_max - the new one) 0"
                )
            if problem := check_numbers(answer, right, known[name]):
                return f"{name}: {problem}"
    return None


@graded
def check_causal_attention(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(query, key, value)`: causal attention, in whatever tiles, of as many
    queries as keys.
    """
    query, key, value = random(3, 1, 2, 8, 16)
    first = [x[..., :5, :] for x in (query, key, value)]
    cases = {
        "with 8 tokens": (2 * query, key, value),
        "with 5 tokens": (2 * first[0], first[1], first[2]),
        "with scores beyond 100": (40 * query, key, value),
    }
    problem = check_cases(attend, causal_attention, cases)
    if problem and "off by" in problem:
        problem += what_is_seen(attend, query, key, value)
    return problem


def what_is_seen(
    attend: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor
) -> str:
    """What is wrong with the weights, if their sums or the last value show it."""
    sums = attend(query, key, torch.ones_like(value))
    if sums.min() < 1 - 1e-3:
        return (
            "; the weights of some queries sum to less than 1: is what the mask hides left "
            "in the sum?"
        )
    later = value.clone()
    later[..., -1, :] += 1
    moved = (attend(query, key, later) - attend(query, key, value))[..., :-1, :]
    return "; some queries see keys after their own" if moved.any() else ""


def in_two_parts(keys_of_the_first: int) -> tuple[Partial, Partial, Partial]:
    """Attention of 4 queries over the first of 6 keys, over the others, and over all.

    Query 0 sees none of the others, query 1 none of the first.
    """
    generator = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, 2, 6, 8, generator=generator)
    query, n = 3 * query[:, :4], keys_of_the_first
    seen = torch.ones(4, 6, dtype=torch.bool)
    seen[0, n:], seen[1, :n] = False, False
    first = partial_attention(query, key[:, :n], value[:, :n], seen[:, :n])
    second = partial_attention(query, key[:, n:], value[:, n:], seen[:, n:])
    return first, second, partial_attention(query, key, value, seen)


def partial_attention(
    query: Float[Tensor, "*batch q_len head_dim"],
    key: Float[Tensor, "*batch kv_len head_dim"],
    value: Float[Tensor, "*batch kv_len value_dim"],
    seen: Bool[Tensor, "q_len kv_len"],
) -> Partial:
    """Attention over these keys, not yet divided by its sum. A query that sees none
    of them gets a maximum of -inf and zeros.
    """
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~seen, -math.inf)
    row_max = scores.amax(dim=-1, keepdim=True)
    terms = torch.exp(scores - row_max.masked_fill(row_max.isneginf(), 0.0))
    return Partial(row_max, terms.sum(dim=-1, keepdim=True), terms @ value)


def merged_wrongly(
    first: Partial, second: Partial, merged: Partial
) -> dict[str, dict[str, Tensor]]:
    """For each of the three tensors, what the usual mistakes make of it."""
    one = torch.exp(first.row_max - merged.row_max)
    two = torch.exp(second.row_max - merged.row_max)

    def unscaled(a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {
            "neither part is rescaled: each is in units of exp(its own row_max), and "
            "counts exp(its row_max - the new row_max) times": a + b,
            "the first part is not rescaled: it counts exp(its row_max - the new "
            "row_max) times, also where the maximum is the second's": a + b * two,
            "the second part is not rescaled: it counts exp(its row_max - the new "
            "row_max) times, also where the maximum is the first's": a * one + b,
        }

    return {
        "row_max": {
            "the new maximum is the larger of the two, this is the second's": second[0],
            "the new maximum is the larger of the two, this is the first's": first[0],
            "the new maximum is the larger of the two, this is the smaller": (
                first.row_max.minimum(second.row_max)
            ),
        },
        "row_sum": unscaled(first.row_sum, second.row_sum),
        "acc": {
            **unscaled(first.acc, second.acc),
            "it is divided by the sum already: a later part could not be added": merged.output,
        },
    }
