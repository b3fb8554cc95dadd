"""The graders of the shapes of torch.matmul, of its FLOPs, and of batches of vectors."""

from collections.abc import Callable

import torch
from torch import Tensor

from companion.broadcasting import explain_matmul
from companion.exercises.gallery import random
from companion.exercises.graders.cases import Wrong, check_cases
from companion.exercises.graders.grading import graded

SHAPES = (
    *(((3,), (3,)), ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,))),
    *(((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4))),
    ((2, 3), (5, 3, 4)),
)


@graded
def check_matmul_shape(answer: Callable[[tuple, tuple], tuple]) -> str | None:
    """Grade `answer(a_shape, b_shape)`: the shape that torch.matmul gives, as a
    tuple.
    """
    for a, b in SHAPES:
        expected, given = explain_matmul(a, b).shape, tuple(answer(a, b))
        if given != expected:
            return f"{a} @ {b} has shape {expected}; the answer was {given}"
    return None


@graded
def check_matmul_flops(count: Callable[[tuple, tuple], int]) -> str | None:
    """Grade `count(a_shape, b_shape)`: the FLOPs of torch.matmul, a multiplication and an
    addition for each term.
    """
    for a, b in SHAPES:
        expected, given = explain_matmul(a, b).flops, count(a, b)
        if given == expected:
            continue
        where = f"{a} @ {b} takes {expected} FLOPs; the answer was {given}"
        if 2 * given == expected:
            return f"{where}: a term is a multiplication and an addition"
        if len(a) > 2 or len(b) > 2:
            return f"{where}: the batch is that of the result, after broadcasting"
        return where
    return None


def each_by_its_own(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrix i times vector i."""
    return torch.einsum("boi,bi->bo", matrices, vectors)


VECTORS_WRONGLY: Wrong = {
    "vector i meets row i of every matrix: (batch, in) is lined up with the last two axes "
    "of (batch, out, in), so give it an axis in the middle": lambda matrices, vectors: (
        matrices * vectors
    ).sum(-1),
    "every matrix meets the vector of the first": lambda matrices, vectors: (
        matrices @ vectors[0]
    ),
}


@graded
def check_each_vector(product: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """Grade `product(matrices, vectors)`: matrices (batch, out, in) and vectors
    (batch, in) → (batch, out), matrix i times vector i.
    """
    cases = {
        "4 matrices of 4 rows": (random(4, 4, 3), random(4, 3)),
        "3 matrices of 4 rows": (random(3, 4, 5), random(3, 5)),
        "1 matrix of 4 rows": (random(1, 4, 5), random(1, 5)),
        "5 matrices of 1 row": (random(5, 1, 2), random(5, 2)),
        "5 matrices of 5 rows of 5": (random(5, 5, 5), random(5, 5)),
    }
    return check_cases(product, each_by_its_own, cases, VECTORS_WRONGLY)
