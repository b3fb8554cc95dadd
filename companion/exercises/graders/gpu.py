"""The grader of the exercise on Triton kernels."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from companion.exercises.graders.grading import (
    check_numbers,
    check_tensor,
    graded,
    same,
)

WIDTHS = (1, 5, 16, 17, 100, 1000, 2051)
ROWS = 3


@graded
def check_softmax_kernel(softmax: Callable[[Tensor], Tensor]) -> str | None:
    """Grade `softmax(x)`, which launches a kernel: x (rows, columns) float32, of any width
    and any strides → the softmax of each row.

    It runs on a GPU where there is one, else in Triton's interpreter.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, x in inputs(device):
        expected = torch.softmax(x, dim=-1)
        if problem := problem_of(name, softmax, (x,), expected, what_is_wrong):
            return problem
    return None


def problem_of(
    name: str,
    launch: Callable[..., Tensor],
    given: tuple[Tensor, ...],
    expected: Tensor,
    what_is_wrong: Callable[..., str | None],
) -> str | None:
    """What is wrong with a kernel's answer on one input, to which it may not write.

    Of numbers that differ `what_is_wrong(answer, expected, *given)` has to say why.
    """
    before = [each.clone() for each in given]
    with unwritten_is_nan():
        answer = launch(*given)
    if problem := check_tensor("output", answer, expected):
        return problem
    if not all(map(torch.equal, given, before)):
        return f"{name}: the input was written to"
    if not same(answer, expected):
        return f"{name}: {what_is_wrong(answer, expected, *given)}"
    return None


def inputs(device: str) -> Iterator[tuple[str, Tensor]]:
    """What is asked, the simple first. Around each row is memory that is not a number."""
    generator = torch.Generator().manual_seed(4)
    for width in WIDTHS:
        x = 2 * torch.randn(ROWS, width, generator=generator)
        yield f"{ROWS} rows of {width}", surrounded(x, device)
    rising = torch.linspace(-4.0, 4.0, WIDTHS[-1]).expand(ROWS, -1)
    yield "rows that rise to the end", surrounded(rising, device)
    yield "rows that fall", surrounded(-rising, device)
    some = torch.full((ROWS, WIDTHS[-1]), -math.inf)
    some[:, -3:] = torch.randn(ROWS, 3, generator=generator)
    yield "rows of -inf with three numbers at the end", surrounded(some, device)
    yield "rows of -inf with three numbers in front", surrounded(some.flip(-1), device)
    large = 1000 + 3 * torch.randn(ROWS, 300, generator=generator)
    yield "numbers around 1000", surrounded(large, device)
    yield "numbers around -1000", surrounded(-large, device)
    x = torch.randn(300, ROWS, generator=generator).to(device)
    yield "a transposed input, strides (1, 3)", x.T
    x = torch.randn(ROWS, 600, generator=generator).to(device)
    yield "every second column, strides (600, 2)", x[:, ::2]


def surrounded(x: Tensor, device: str) -> Tensor:
    """The rows inside a larger memory of NaN."""
    rows, width = x.shape
    room = torch.full((rows + 2, width + 4096), math.nan, device=device)
    room[1:-1, 32 : 32 + width] = x.to(device)
    return room[1:-1, 32 : 32 + width]


@contextmanager
def unwritten_is_nan() -> Iterator[None]:
    """Lets `torch.empty` and its like give NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn)


def what_is_wrong(answer: Tensor, expected: Tensor, x: Tensor) -> str | None:
    """The reason in words."""
    bad = answer.isnan()
    if bad.all() and x.isneginf().any():
        return (
            "nothing is a number: where a block is all -inf so far, the maximum is -inf, "
            "and -inf - -inf is no number; subtract 0 there"
        )
    if bad.all() and x.abs().max() > 100:
        return "nothing is a number: exp of such numbers overflows without the maximum"
    if bad.all():
        return (
            "nothing is a number: either nothing was stored, or what lies behind a row was "
            "read with it (mask= and other= of tl.load)"
        )
    if bad.any():
        rows, columns = (bad.any(dim=d).nonzero().flatten().tolist() for d in (1, 0))
        if len(columns) < x.shape[1]:
            return (
                f"columns {columns[0]} to {columns[-1]} were not stored, of "
                f"{x.shape[1]}: does the loop reach the end of a row?"
            )
        return (
            f"rows {rows} are not numbers, the others are: is there a program for each, and "
            "does it begin at row · x.stride(0)?"
        )
    return check_numbers(answer, expected, mistakes(x))


def mistakes(x: Tensor) -> dict[str, Tensor]:
    """What the usual mistakes make of it, for blocks of any power of two."""
    largest = x.amax(dim=-1, keepdim=True)
    terms = torch.exp(x - largest)
    known = {
        "it is exp(x - the row's maximum), not divided by the sum yet": terms,
        "the exponential is to base 2: exp2(x) is exp(x · ln 2), so x has to be multiplied "
        "by log2(e) first": torch.softmax(x * math.log(2), dim=-1),
        "each row is the softmax of row 0: a program adds row · x.stride(0) to the address": (
            torch.softmax(x[:1], dim=-1).expand_as(x)
        ),
        "columns are taken for neighbors: they are at column · x.stride(1)": (
            torch.softmax(read_with(x, (x.stride(0), 1)), dim=-1)
        ),
        "x is read as if it were contiguous: a row begins at row · x.stride(0), its columns "
        "at column · x.stride(1)": torch.softmax(read_with(x, (x.shape[1], 1)), dim=-1),
        "the softmax runs over the columns of x, and each row should sum to 1": (
            torch.softmax(x, dim=0)
        ),
    }
    for block in (2**i for i in range(1, 12)):
        for name, row_sum in sums_gone_wrong(x, block).items():
            known.setdefault(f"{name} (blocks of {block})", terms / row_sum)
        parts = x.split(block, dim=-1)
        known[f"each block of {block} is a softmax of its own"] = torch.cat(
            [torch.softmax(part, dim=-1) for part in parts], dim=-1
        )
    return known


def read_with(x: Tensor, strides: tuple[int, int]) -> Tensor:
    """What is read with other strides, as far as there is memory."""
    reach = sum((n - 1) * step for n, step in zip(x.shape, strides, strict=True))
    last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    return x.as_strided(x.shape, strides) if reach <= last else x


def sums_gone_wrong(x: Tensor, block: int) -> dict[str, Tensor]:
    """The sum of a row, as it comes out when a step of the recurrence is left out."""
    row_max = x.new_full((x.shape[0], 1), -math.inf)
    unscaled, own = torch.zeros_like(row_max), torch.zeros_like(row_max)
    for part in x.split(block, dim=-1):
        block_max = part.amax(dim=-1, keepdim=True)
        new_max = row_max.maximum(block_max)
        shift = new_max.masked_fill(new_max.isneginf(), 0.0)
        block_shift = block_max.masked_fill(block_max.isneginf(), 0.0)
        unscaled = unscaled + torch.exp(part - shift).sum(dim=-1, keepdim=True)
        own = own * torch.exp(row_max - shift)
        own = own + torch.exp(part - block_shift).sum(dim=-1, keepdim=True)
        last = torch.exp(part - shift).sum(dim=-1, keepdim=True)
        row_max = new_max
    return {
        "the sum is not rescaled when a later block has a larger maximum: it counts terms "
        "that were taken against smaller ones": unscaled,
        "each block's terms are taken against its own maximum, and the sum against the "
        "running one": own,
        "the sum is that of the last block alone": last,
    }
