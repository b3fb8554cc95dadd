"""Grader for the exercise on online softmax."""

from collections.abc import Callable

import torch
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
from companion.exercises.tiling import Partial, partial_attention


@graded
def check_merge(merge: Callable[[tuple, tuple], tuple]) -> Grade:
    """Grade `merge(first, second)`: two `(row_max, row_sum, acc)`, of the same queries
    over different keys, become that of all these keys.
    """
    for keys_of_the_first in (3, 5, 1):
        first, second, expected = in_two_parts(keys_of_the_first)
        merged = merge(first, second)
        if not isinstance(merged, tuple) or len(merged) != 3:
            return wrong(
                f"merge returned {type(merged).__name__}: it should be the three "
                "tensors (row_max, row_sum, acc)"
            )
        known = mistaken(first, second, expected)
        for name, answer, right in zip(Partial._fields, merged, expected, strict=True):
            if problem := check_tensor(name, answer, right):
                return problem
            if answer.isnan().any():
                return wrong(
                    f"{name} is not a number where a query sees no key of one part: "
                    "that part's row_max is -inf, and exp(its row_max - the new one) 0"
                )
            if not same(answer, right):
                return wrong(f"{name}: {diagnosis(answer, right, known[name])}")
    return RIGHT


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


def mistaken(
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
