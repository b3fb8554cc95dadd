import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from companion import LlamaRMSNorm, rms_norm


def test_by_hand():
    normed = rms_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 10.0]), eps=0.0)
    torch.testing.assert_close(normed, torch.tensor([[3.0, 40.0]]) / math.sqrt(12.5))


def test_eps_is_added_to_the_mean_square():
    normed = rms_norm(torch.tensor([3.0, 4.0]), torch.ones(2), eps=3.5)
    torch.testing.assert_close(normed, torch.tensor([0.75, 1.0]))


def test_zeros_stay_zeros():
    assert rms_norm(torch.zeros(2, 4), torch.ones(4), eps=1e-6).eq(0).all()


def test_mean_is_not_subtracted():
    torch.testing.assert_close(
        rms_norm(torch.full((4,), 5.0), torch.ones(4), eps=0.0), torch.ones(4)
    )


@given(st.floats(0.01, 100))
def test_scale_of_the_input_does_not_matter(scale):
    x = torch.randn(3, 8, dtype=torch.float64)
    weight = torch.randn(8, dtype=torch.float64)
    torch.testing.assert_close(
        rms_norm(x * scale, weight, 0.0), rms_norm(x, weight, 0.0)
    )


@pytest.mark.parametrize("shape", [(8,), (3, 8), (2, 3, 8), (0, 8)])
def test_equals_torch(shape, device):
    x, weight = torch.randn(shape, device=device), torch.randn(8, device=device)
    torch.testing.assert_close(
        rms_norm(x, weight, 1e-5), F.rms_norm(x, (8,), weight, 1e-5)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_casts_back_before_the_weight_multiplies(dtype):
    x, weight = torch.randn(200, 64, dtype=dtype), torch.randn(64, dtype=dtype)
    wide = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
    normed = rms_norm(x, weight, 1e-6)
    assert normed.dtype == dtype
    assert torch.equal(normed, weight * wide.to(dtype))
    in_the_other_order = (weight.float() * wide).to(dtype)
    assert (normed != in_the_other_order).float().mean() > 0.1


def test_squares_of_float16_do_not_overflow():
    x = torch.full((4,), 1000.0, dtype=torch.float16)
    assert rms_norm(x, torch.ones(4, dtype=torch.float16), 1e-6).tolist() == [
        1,
        1,
        1,
        1,
    ]


def test_float64_stays_float64():
    x = torch.randn(4, dtype=torch.float64)
    exact = x / (x.pow(2).mean() + 1e-6).sqrt()
    torch.testing.assert_close(
        rms_norm(x, torch.ones(4, dtype=torch.float64), 1e-6), exact, atol=0, rtol=1e-15
    )


def test_module():
    norm = LlamaRMSNorm(8, eps=1e-3)
    assert torch.equal(norm.weight, torch.ones(8))
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 3, 8)
    assert torch.equal(norm(x), rms_norm(x, norm.weight, 1e-3))


def test_default_eps():
    assert LlamaRMSNorm(8).eps == 1e-6
