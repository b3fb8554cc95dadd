"""The grader of RMSNorm as a Triton kernel."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from companion.exercises.graders.gpu import problem_of, read_with, surrounded
from companion.exercises.graders.grading import check_numbers, graded
from companion.exercises.norm_swiglu import norm_mean_subtracted
from companion.norm import rms_norm

EPS = 1e-5


@graded
def check_norm_kernel(norm: Callable[[Tensor, Tensor, float], Tensor]) -> str | None:
    """Grade `norm(x, weight, eps)`, which launches a kernel: x (rows, columns) float32, at
    most 1,024 columns, of any strides, and weight (columns) → RMSNorm of each row.

    It runs on a GPU where there is one, else in Triton's interpreter.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def launch(x: Tensor, weight: Tensor) -> Tensor:
        return norm(x, weight, EPS)

    for where, x, weight in inputs(device):
        expected = rms_norm(x, weight, EPS)
        if problem := problem_of(where, launch, (x, weight), expected, what_is_wrong):
            return problem
    return None


def inputs(device: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What is asked, the simple first, inside memory that is not a number; and a weight that
    is, like x, followed by such memory.
    """
    generator = torch.Generator().manual_seed(6)
    for rows, width in ((2, 16), (3, 17), (3, 5), (2, 576), (1, 1), (2, 1024)):
        x = torch.randn(rows, width, generator=generator)
        weight = surrounded(1 + x[:1] / 4, device)[0]
        yield f"{rows} rows of {width}", surrounded(2 * x, device), weight
    x = torch.randn(3, 20, generator=generator)
    weight = surrounded(1 + x[:1] / 4, device)[0]
    small = surrounded(x / 300, device)
    yield "numbers near 0.003, their squares as small as eps", small, weight
    yield "a transposed input, strides (1, 3)", x.mT.contiguous().to(device).mT, weight
    every_second = torch.randn(3, 40, generator=generator).to(device)
    yield "every second column, strides (40, 2)", every_second[:, ::2], weight


def what_is_wrong(
    answer: Tensor, expected: Tensor, x: Tensor, weight: Tensor
) -> str | None:
    """The reason in words."""
    bad = answer.isnan()
    if bad.all():
        return (
            "nothing is a number: either nothing was stored, or what lies behind a row was "
            "read with it (mask= and other= of tl.load)"
        )
    if bad.any():
        rows, columns = (bad.any(dim=d).nonzero().flatten().tolist() for d in (1, 0))
        return (
            f"rows {rows}, columns {columns[0]} to {columns[-1]} are no numbers: were they "
            "stored?"
        )
    return check_numbers(answer, expected, mistakes(x, weight))


def mistakes(x: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """What the usual mistakes make of it, for blocks of any power of two."""
    squares, columns = x.pow(2).sum(dim=-1, keepdim=True), x.shape[1]
    known = {
        "the mean of the features is subtracted, as LayerNorm does": (
            norm_mean_subtracted(x, weight, EPS)
        ),
        "the weight is left out": rms_norm(x, torch.ones_like(weight), EPS),
        "eps is left out": weight * x * torch.rsqrt(squares / columns),
        "eps is added to the root, not to the mean of squares under it": (
            weight * x / ((squares / columns).sqrt() + EPS)
        ),
        "the squares are summed and not averaged": weight
        * x
        * torch.rsqrt(squares + EPS),
        "each row is divided by the root of row 0": (
            weight * x * torch.rsqrt(squares[:1] / columns + EPS)
        ),
        "each row is row 0: a program adds row · x.stride(0) to the address": (
            rms_norm(x[:1], weight, EPS).expand_as(x)
        ),
        "columns are taken for neighbors: they are at column · x.stride(1)": (
            rms_norm(read_with(x, (x.stride(0), 1)), weight, EPS)
        ),
        "x is read as if it were contiguous: a row begins at row · x.stride(0), its columns "
        "at column · x.stride(1)": rms_norm(read_with(x, (columns, 1)), weight, EPS),
    }
    for block in (2**i for i in range(math.ceil(math.log2(columns)), 12)):
        mean = squares / block
        known.setdefault(
            f"the sum of squares is divided by {block}, the width of the block, and a row "
            f"has {columns} columns",
            weight * x * torch.rsqrt(mean + EPS),
        )
    return known
