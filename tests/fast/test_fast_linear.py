"""Linear layers with other weights: what they compute, and what their bytes mean."""

import itertools

import pytest
import torch
from torch import nn

from companion.fast.linear import RowLinear, is_faster_widened, stored
from companion.fast.onednn import PackedLinear
from companion.fast.quantized import (
    GROUP,
    Int4Linear,
    Int8Linear,
    quantize_groups,
    quantize_rows,
    unpacked,
)

QUANTIZED = [Int8Linear, Int4Linear]


def linear(out=6, width=64, bias=True, dtype=torch.float32):
    return nn.Linear(width, out, bias=bias, dtype=dtype).requires_grad_(False)


def test_rows_share_the_weight():
    layer = linear()
    rows = RowLinear(layer)
    assert (rows.weight, rows.bias) == (layer.weight, layer.bias)
    assert (rows.in_features, rows.out_features) == (64, 6)


def test_stored_is_the_same_tensor():
    x = torch.randn(3, 4).t()
    assert torch.equal(stored(x), x)
    assert stored(x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64,), (5, 64), (2, 3, 64)])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_computes_what_linear_does(dtype, shape, bias):
    layer, x = linear(bias=bias, dtype=dtype), torch.randn(shape, dtype=dtype)
    torch.testing.assert_close(PackedLinear(layer)(x), layer(x))


def test_rows_are_quantized_each_by_its_own_largest_weight():
    weight = torch.tensor([[1.0, -127.0, 63.5], [0.1, 0.2, -0.2]])
    quantized, scale = quantize_rows(weight)
    assert torch.equal(
        quantized, torch.tensor([[1, -127, 64], [64, 127, -127]]).to(torch.int8)
    )
    torch.testing.assert_close(scale, torch.tensor([1.0, 0.2 / 127]))


def test_rows_are_off_by_at_most_half_a_step():
    weight = torch.randn(5, 64)
    quantized, scale = quantize_rows(weight)
    error = (quantized * scale[:, None] - weight).abs()
    assert (error <= scale[:, None] / 2 * 1.0001).all()


def grid():
    """Weights (2, 64) whose groups have 0 and 15 steps in them, each of another size."""
    steps = torch.arange(2 * 64).view(2, 2, GROUP) % 16
    scale = torch.tensor([[0.5, 2.0], [0.25, 4.0]])
    minimum = torch.tensor([[-1.0, 3.0], [0.0, -8.0]])
    return steps, scale, minimum


def test_a_byte_holds_the_weights_j_and_j_plus_16_of_its_group():
    steps, scale, minimum = grid()
    weight = (steps * scale[..., None] + minimum[..., None]).flatten(1)
    halves, found_scale, found_minimum = quantize_groups(weight)
    assert torch.equal(found_scale, scale)
    assert torch.equal(found_minimum, minimum)
    assert (halves.shape, halves.dtype) == ((2, 2, 16), torch.uint8)
    assert torch.equal(halves & 15, steps[..., :16].to(torch.uint8))
    assert torch.equal(halves >> 4, steps[..., 16:].to(torch.uint8))
    low, high = unpacked(halves)
    assert torch.equal(torch.cat((low, high), dim=-1), steps.int())


def test_weights_on_a_grid_come_back():
    steps, scale, minimum = grid()
    weight = (steps * scale[..., None] + minimum[..., None]).flatten(1)
    layer = linear(out=2)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    assert torch.equal(Int4Linear(layer).dense(torch.float32), weight)


def test_groups_are_off_by_at_most_half_a_step():
    layer = linear()
    found = Int4Linear(layer)
    step = found.scale.repeat_interleave(GROUP, dim=-1)
    error = (found.dense(torch.float32) - layer.weight).abs()
    assert (error <= step / 2 * 1.001).all()


@pytest.mark.parametrize("make", QUANTIZED)
def test_weights_that_are_all_alike_have_a_scale(make):
    layer = linear(bias=False)
    nn.init.constant_(layer.weight, 0.0)
    x = torch.randn(64)
    assert torch.equal(make(layer)(x), torch.zeros(6))


@pytest.mark.parametrize(("make", "bits"), [(Int8Linear, 8), (Int4Linear, 4)])
def test_a_weight_takes_its_bits_and_the_scales_little(make, bits):
    layer = make(linear(out=8, width=1024, bias=False))
    scales = {Int8Linear: 4 * 8, Int4Linear: 8 * 8 * 1024 // GROUP}[make]
    assert sum(x.nbytes for x in layer.parameters()) == 8 * 1024 * bits // 8 + scales
    assert not any(x.requires_grad for x in layer.parameters())


@pytest.mark.parametrize("make", QUANTIZED)
def test_a_dtype_stays(make):
    layer = make(linear(dtype=torch.bfloat16))
    assert layer(torch.randn(3, 64).bfloat16()).dtype == torch.bfloat16


@pytest.fixture
def undecided():
    """No answer of earlier calls, nor for later ones."""
    is_faster_widened.cache_clear()
    yield
    is_faster_widened.cache_clear()


@pytest.mark.parametrize(
    ("as_it_is", "widened", "expected"),
    [(3.0, 2.0, True), (2.2, 2.0, False), (1.0, 2.0, False)],
)
def test_products_are_widened_where_that_is_clearly_faster(
    monkeypatch, undecided, as_it_is, widened, expected
):
    # a busy moment in the first round is no measure of either
    taken = iter([9.0 * as_it_is, widened, as_it_is, 9.0 * widened])
    later = itertools.cycle([2 * as_it_is, 2 * widened])
    monkeypatch.setattr(
        "companion.fast.linear.seconds", lambda run: next(taken, None) or next(later)
    )
    assert is_faster_widened(torch.bfloat16) is expected


def test_float32_is_wide_and_float16_is_always_widened(undecided):
    assert not is_faster_widened(torch.float32)
    assert not is_faster_widened(torch.float64)
    assert is_faster_widened(torch.float16)


def test_a_processor_has_an_answer_for_bfloat16(undecided):
    assert is_faster_widened(torch.bfloat16) in (True, False)
