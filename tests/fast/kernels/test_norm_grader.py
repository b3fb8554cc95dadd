"""The grader of RMSNorm as a kernel."""

import re

import pytest
import torch
import triton
import triton.language as tl

from companion import rms_norm
from companion.exercises import check_norm_kernel
from companion.fast.kernels.launch import norm as launch


@triton.jit
def norm_rows(
    x, weight, output, columns, x_row, x_column, eps,
    BLOCK: tl.constexpr, MASK: tl.constexpr, WHOLE: tl.constexpr,  # noqa: N803
):  # fmt: skip
    x += tl.program_id(0) * x_row
    output += tl.program_id(0) * columns
    place = tl.arange(0, BLOCK)
    inside = place < (columns if MASK else 2 * BLOCK)
    row = tl.load(x + place * x_column, mask=inside, other=0.0)
    scale = tl.load(weight + place, mask=inside, other=0.0)
    size = tl.sum(row * row, axis=0) / (BLOCK if WHOLE else columns)
    tl.store(output + place, scale * row / tl.sqrt(size + eps), mask=place < columns)


def launched(rows=None, strides=None, block=None, **flags):
    def norm(x, weight, eps):
        output, columns = torch.empty(x.shape, device=x.device), x.shape[1]
        norm_rows[(rows or x.shape[0],)](
            x, weight, output, columns, *(strides or x.stride()), eps,
            BLOCK=block or triton.next_power_of_2(columns),
            **{"MASK": True, "WHOLE": False, **flags},
        )  # fmt: skip
        return output

    return norm


RIGHT = [launched(), launched(block=1024), rms_norm, launch.rms_norm]


@pytest.mark.parametrize("norm", RIGHT)
def test_a_right_kernel_passes(norm):
    grade = check_norm_kernel(norm)
    assert grade.passed, grade


def root(x, eps=0.0):
    return (x.pow(2).mean(dim=-1, keepdim=True) + eps).sqrt()


REJECTED = [
    (launched(WHOLE=True), "^3 rows of 17: .* divided by 32, the width of the block"),
    (launched(WHOLE=True, block=1024), "^2 rows of 16: .* divided by 1024"),
    (launched(MASK=False), "^3 rows of 17: nothing is a number: .* was read with it"),
    (launched(rows=1), r"rows \[1\], columns 0 to 15 are no numbers"),
    (launched(block=16), "columns 16 to 16 are no numbers"),
    (lambda x, w, e: launched(strides=(0, x.stride(1)))(x, w, e), "each row is row 0"),
    (
        lambda x, w, e: launched(strides=(x.stride(0), 1))(x, w, e),
        "taken for neighbors",
    ),
    (lambda x, w, e: w * x / root(x), "eps is left out"),
    (lambda x, w, e: w * x / (root(x) + e), "added to the root"),
    (lambda x, w, e: w * x / root(x[:1], e), "root of row 0"),
    (lambda x, w, e: x / root(x, e), "weight is left out"),
    (lambda x, w, e: rms_norm(x - x.mean(-1, True), w, e), "as LayerNorm does"),
    (lambda x, w, e: w * x * torch.rsqrt(x.pow(2).sum(-1, True) + e), "not averaged"),
    (lambda x, w, e: x.copy_(rms_norm(x, w, e)), "written to"),
    (lambda x, w, e: rms_norm(x, w.clone(), e) + 0 * w.zero_(), "written to"),
    (lambda x, w, e: rms_norm(x, w, e)[0], "has shape"),
    (lambda x, w, e: rms_norm(x, w, e) + 1, "off by up to 1"),
    (lambda x, w, e: 1 / 0, "ZeroDivisionError"),
]


@pytest.mark.parametrize(("wrong", "says"), REJECTED)
def test_the_grader_says_what_is_wrong(wrong, says):
    grade = check_norm_kernel(wrong)
    assert not grade.passed
    assert re.search(says, grade.message), grade.message
