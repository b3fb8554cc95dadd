"""The grader of the exercise on kernels, and what the chapter shows of ours."""

import importlib
import math
import re

import pytest
import torch
import triton
import triton.language as tl

from companion import show
from companion.exercises import check_softmax_kernel
from companion.fast import kernels
from companion.fast.kernels import forward


@triton.jit
def softmax_rows(
    x, output, columns, x_row, x_column,
    BLOCK: tl.constexpr, RESCALE: tl.constexpr, MASK: tl.constexpr, SAFE: tl.constexpr,  # noqa: N803
):  # fmt: skip
    x += tl.program_id(0) * x_row
    output += tl.program_id(0) * columns
    row_max = float("-inf")
    row_sum = 0.0
    for start in range(0, columns, BLOCK):
        place = start + tl.arange(0, BLOCK)
        inside = place < (columns if MASK else columns + BLOCK)
        part = tl.load(x + place * x_column, mask=inside, other=float("-inf"))
        new_max = tl.maximum(row_max, tl.max(part, axis=0))
        shift = tl.where((new_max == float("-inf")) & SAFE, 0.0, new_max)
        rescale = tl.exp(row_max - shift) if RESCALE else 1.0
        row_sum = row_sum * rescale + tl.sum(tl.exp(part - shift), axis=0)
        row_max = new_max
    for start in range(0, columns, BLOCK):
        place = start + tl.arange(0, BLOCK)
        part = tl.load(x + place * x_column, mask=place < columns, other=float("-inf"))
        weights = tl.exp(part - row_max) / row_sum
        tl.store(output + place, weights, mask=place < columns)


def launched(block=128, rows=None, strides=None, **flags):
    def softmax(x):
        output = torch.empty(x.shape, device=x.device)
        softmax_rows[(rows or x.shape[0],)](
            x,
            output,
            x.shape[1],
            *(strides or x.stride()),
            BLOCK=block,
            **{"RESCALE": True, "MASK": True, "SAFE": True, **flags},
        )
        return output

    return softmax


@pytest.mark.parametrize("block", [128, 1024])
def test_a_right_kernel_passes(block):
    grade = check_softmax_kernel(launched(block))
    assert grade.passed, grade


def without_maximum(x):
    return x.exp() / x.exp().sum(dim=-1, keepdim=True)


def by_blocks(x, total, block=64):
    """exp(x - the row's maximum) over a sum, taken a block at a time by `total`."""
    row_max, row_sum = torch.full_like(x[:, :1], -math.inf), 0.0
    for part in x.split(block, dim=-1):
        new_max = row_max.maximum(part.amax(dim=-1, keepdim=True))
        row_sum = total(row_sum, part, row_max, new_max)
        row_max = new_max
    return torch.exp(x - row_max) / row_sum


def unscaled(row_sum, part, row_max, new_max):
    return row_sum + torch.exp(part - new_max).sum(dim=-1, keepdim=True)


def own_maximum(row_sum, part, row_max, new_max):
    own = part.amax(dim=-1, keepdim=True)
    row_sum = row_sum * torch.exp(row_max - new_max)
    return row_sum + torch.exp(part - own).sum(dim=-1, keepdim=True)


def last_block(row_sum, part, row_max, new_max):
    return torch.exp(part - new_max).sum(dim=-1, keepdim=True)


def half(x):
    output = torch.empty_like(x)
    output[:, : max(x.shape[1] // 2, 1)] = torch.softmax(x, -1)[
        :, : max(x.shape[1] // 2, 1)
    ]
    return output


def in_place(x):
    return x.copy_(torch.softmax(x, dim=-1))


REJECTED = [
    (launched(RESCALE=False), r"not rescaled .* \(blocks of 128\)"),
    (launched(MASK=False), "was read with it"),
    (launched(rows=1), r"rows \[1, 2\] are not numbers"),
    (launched(SAFE=False), "-inf - -inf is no number"),
    (lambda x: launched(strides=(0, x.stride(1)))(x), "softmax of row 0"),
    (lambda x: launched(strides=(x.stride(0), 1))(x), r"column · x.stride\(1\)"),
    (lambda x: launched(strides=(x.shape[1], 1))(x), r"row · x.stride\(0\)"),
    (lambda x: by_blocks(x, unscaled), r"not rescaled .* \(blocks of 64\)"),
    (lambda x: by_blocks(x, own_maximum), "its own maximum"),
    (lambda x: by_blocks(x, last_block), "last block alone"),
    (lambda x: torch.cat([p.softmax(-1) for p in x.split(64, -1)], -1), "of its own"),
    (lambda x: torch.exp(x - x.amax(-1, True)), "not divided by the sum"),
    (lambda x: torch.softmax(x * math.log(2), -1), "to base 2"),
    (lambda x: torch.softmax(x, 0), "each row should sum to 1"),
    (without_maximum, "overflows without the maximum|-inf"),
    (lambda x: torch.empty_like(x), "nothing was stored"),
    (half, "were not stored"),
    (in_place, "written to"),
    (lambda x: torch.softmax(x, -1)[0], "has shape"),
    (lambda x: torch.softmax(x, -1).double(), "is torch.float64"),
    (lambda x: None, "returned a NoneType"),
    (lambda x: x.missing, "raises AttributeError"),
    (lambda x: torch.softmax(x, -1) + 1, "off by up to 1"),
]


@pytest.mark.parametrize(("wrong", "says"), REJECTED)
def test_the_grader_says_what_is_wrong(wrong, says):
    grade = check_softmax_kernel(wrong)
    assert not grade.passed
    assert re.search(says, grade.message), grade.message


def test_the_mode_of_torch_is_left_as_it_was():
    before = torch.are_deterministic_algorithms_enabled()
    check_softmax_kernel(torch.sigmoid)
    assert torch.are_deterministic_algorithms_enabled() == before


def test_the_names_of_the_kernel_are_those_of_tiled():
    """What the module's first lines promise."""
    plan = importlib.import_module("companion.fast.tiled").attend_to_blocks
    names = [
        "row_max",
        "row_sum",
        "acc",
        "seen",
        "start",
        "scores",
        "scores",
        "new_max",
    ]
    names += [
        "shift",
        "rescale",
        "weights",
        "row_sum",
        "weighted",
        "acc",
        "row_max",
        "acc",
    ]
    table = show.line_for_line(
        plan,
        forward.attention_forward,
        forward.attend_to_blocks,
        [(name, "") for name in names],
        without={"kv_len, rows": "", "keys": ""},
    )
    assert "rescale = tl.exp2(row_max - shift)" in repr(table)


def test_the_source_of_a_kernel_is_shown():
    for kernel in (forward.attend_to_blocks, forward.tuned_attention_forward):
        text = show.source(kernel).text
        assert text.startswith("@triton.jit")
        assert "def attend" in text.splitlines()[1] or "def attention" in text


def test_a_triton_launch_is_noted_with_its_bytes(device):
    x = torch.randn(3, 5, device=device)
    [found] = show.launches(kernels.swiglu, x, x + 0)
    assert (found.name, found.triton) == ("swiglu_forward", True)
    assert found.bytes_moved == 3 * 4 * 15


def test_a_program_is_watched_where_the_interpreter_runs():
    """In this process; tests/test_programs.py has the same from another Python."""
    query, key, value = torch.randn(3, 1, 1, 4, 8).unbind()
    steps = show.program_steps(
        kernels.attention,
        *(query, key, value),
        q_block=4,
        kv_block=2,
        functions=["attend_to_blocks"],
    )
    row_max, row_sum, acc = (
        [step.value for step in steps if step.name == name][-1]
        for name in ("row_max", "row_sum", "acc")
    )
    scores = (query @ key.mT / math.sqrt(8))[0, 0]
    torch.testing.assert_close(row_max * math.log(2), scores.amax(dim=-1))
    expected = torch.softmax(scores, dim=-1) @ value[0, 0]
    torch.testing.assert_close(acc[:, :8] / row_sum[:, None], expected)


def test_bfloat16_is_kept_as_bits_and_shown_as_numbers():
    x = torch.randn(1, 1, 4, 8, dtype=torch.bfloat16)
    steps = show.program_steps(
        kernels.attention,
        x,
        x,
        x,
        functions=["attend_to_blocks"],
        kv_block=4,
        q_block=4,
    )
    tile = next(step.value for step in steps if step.name == "tile")
    assert torch.equal(tile[:, :8], x[0, 0])
